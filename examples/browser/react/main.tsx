// React 19. The bell is an element like any other; its module is loaded by the page, so that it needs no bundler.
//   npm install react react-dom && npx esbuild main.tsx --bundle --format=esm --jsx=automatic --outfile=main.js

import { useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import type { PNSBell, PNSBellEvents } from "../../../pns/browser/bell.js"; // in your project: pns-browser/bell.js
import { usePNS } from "../../../pns/browser/frameworks/react.js"; // in your project: pns-browser/react

/** The count and a link that the application's own router follows. */
function Header({ go }: { go: (path: string) => void }) {
  const bell = useRef<PNSBell>(null);
  const { count } = usePNS("/pns");

  useEffect(() => {
    const node = bell.current!;
    const clicked = (event: PNSBellEvents["pns-click"]) => {
      const { url } = event.detail.content;
      if (!url.startsWith(location.origin)) return;
      event.preventDefault(); // no page load: the router goes there
      node.close();
      go(new URL(url).pathname);
    };
    node.addEventListener("pns-click", clicked);
    return () => node.removeEventListener("pns-click", clicked as EventListener);
  }, [go]);

  return (
    <header>
      Shop <pns-bell ref={bell} max={9} /> <small id="count">{count} new</small>
    </header>
  );
}

function App() {
  const [path, setPath] = useState("/");
  return (
    <>
      <Header go={setPath} />
      <main id="path">{path}</main>
    </>
  );
}

createRoot(document.getElementById("app")!).render(<App />);
