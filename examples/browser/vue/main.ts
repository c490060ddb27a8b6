// Vue 3. In a single-file component it is `<pns-bell @pns-count="…" />`, with `isCustomElement` in the build's settings.
//   npm install vue && npx esbuild main.ts --bundle --format=esm --outfile=main.js

import { createApp, defineComponent, h, ref } from "vue";
import type { PNSBellEvents } from "../../../pns/browser/bell.js"; // in your project: pns-browser/bell.js
import { usePNS } from "../../../pns/browser/frameworks/vue.js"; // in your project: pns-browser/vue

const Header = defineComponent({
  emits: { go: (path: string) => path.startsWith("/") },
  setup(_, { emit }) {
    const inbox = usePNS("/pns");
    const clicked = (event: PNSBellEvents["pns-click"]) => {
      const { url } = event.detail.content;
      if (!url.startsWith(location.origin)) return;
      event.preventDefault(); // no page load: the router goes there
      emit("go", new URL(url).pathname);
    };
    return () =>
      h("header", ["Shop ", h("pns-bell", { max: 9, "onPns-click": clicked }),
        h("small", { id: "count" }, `${inbox.value.count} new`)]);
  },
});

const App = defineComponent({
  setup() {
    const path = ref("/");
    return () => [h(Header, { onGo: (to: string) => (path.value = to) }), h("main", { id: "path" }, path.value)];
  },
});

createApp(App).mount("#app");
