// How the bell looks; its lists have a sheet of their own in panel/style.js. Constructed sheets, because a strict
// Content-Security-Policy refuses `<style>`. A page changes them by the properties `--pns-…` and by `::part(…)`.

const DARK = `
  --surface: var(--pns-surface, #1c1c22); --text: var(--pns-text, #ededf2); --muted: var(--pns-muted, #a0a0ae);
  --border: var(--pns-border, #34343f); --hover: var(--pns-hover, #282831); --accent: var(--pns-accent, #a5a0ff);
  --soft: var(--pns-accent-soft, #272650);
  --warn: var(--pns-warn-surface, #3a2d12); --on-warn: var(--pns-warn-text, #f6d58b);
  --danger: var(--pns-danger, #ff9a9a); color-scheme: dark;`

const CSS = `
:host {
  --surface: var(--pns-surface, #fff); --text: var(--pns-text, #1d1d27); --muted: var(--pns-muted, #62626f);
  --border: var(--pns-border, #e4e4ec); --hover: var(--pns-hover, #f4f4f8); --accent: var(--pns-accent, #4f46e5);
  --soft: var(--pns-accent-soft, #eeedfd);
  --warn: var(--pns-warn-surface, #fdf3dc); --on-warn: var(--pns-warn-text, #6f4a00);
  --danger: var(--pns-danger, #b3261e);
  --size: var(--pns-size, 2.5rem); --radius: var(--pns-radius, 14px);
  display: inline-block; position: relative; vertical-align: middle; color-scheme: light;
  font: var(--pns-font, 400 .9375rem/1.45 Inter, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif);
}
@media (prefers-color-scheme: dark) { :host(:not([theme=light])) {${DARK}} }
:host([theme=dark]) {${DARK}}
:host([hidden]), [hidden] { display: none !important }
* { box-sizing: border-box; margin: 0 }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
svg { width: 1.5em; height: 1.5em; fill: none; stroke: currentColor; stroke-width: 1.75; stroke-linecap: round; stroke-linejoin: round }

.bell { display: grid; place-items: center; position: relative; width: var(--size); height: var(--size); border-radius: 50% }
.bell:hover, .bell[aria-expanded=true] { background: color-mix(in srgb, currentColor 10%, transparent) }
.bell path + path { display: none }
.off svg { opacity: .65 }
.off path + path { display: inline }
.waiting svg { opacity: .65 }
.badge {
  position: absolute; inset-block-start: 0; inset-inline-start: 54%; min-width: 1.125rem; padding: 0 .28rem;
  border-radius: 99px; background: var(--pns-badge, #d42a2a); color: var(--pns-badge-text, #fff);
  box-shadow: 0 0 0 2px var(--pns-badge-ring, transparent);
  font-size: .6875rem; font-weight: 650; line-height: 1.125rem; font-variant-numeric: tabular-nums; white-space: nowrap;
}
.off .badge { background: var(--pns-badge-off, #6b6b78) }

.panel, .toast {
  position: fixed; inset: auto; z-index: var(--pns-z, 1000); margin: 0; padding: 0; overflow: hidden;
  border: 1px solid var(--border); border-radius: var(--radius); background: var(--surface); color: var(--text);
  box-shadow: 0 1px 2px rgb(0 0 0/.06), 0 12px 40px rgb(0 0 0/.18); text-align: start; overflow-wrap: anywhere;
}
.panel { display: flex; flex-direction: column; width: min(var(--pns-width, 25rem), calc(100vw - 1rem)); outline: 0 }
.head { display: flex; flex-wrap: wrap; align-items: center; justify-content: flex-end; padding-block: .5rem; padding-inline: 1rem .5rem; border-block-end: 1px solid var(--border) }
h2 { flex: 1; overflow-wrap: break-word; font-size: 1.0625rem; font-weight: 650; letter-spacing: -.005em }
.close { display: grid; place-items: center; width: 2rem; height: 2rem; border-radius: 8px; color: var(--muted); font-size: .8125rem }
.close:hover { background: var(--hover); color: var(--text) }
.state { display: flex; flex-wrap: wrap; align-items: center; gap: .75rem; padding: .55rem 1rem; background: var(--warn); color: var(--on-warn); font-size: .875rem }
.state.connecting { background: var(--hover); color: var(--muted) }
.state span { flex: 1; overflow-wrap: break-word; font-variant-numeric: tabular-nums }
.state button { padding: .15rem .7rem; border: 1px solid currentColor; border-radius: 8px; font-weight: 600 }
[part=icon] { display: grid; place-items: center; position: relative; flex: none; width: 2.25rem; height: 2.25rem; border-radius: 10px; overflow: hidden; background: var(--hover); color: var(--muted); font-size: .8125rem }
.toast [part=icon] { background: var(--soft); color: var(--accent) }
.words { display: grid; flex: 1; gap: .0625rem; min-width: 0 }
.loading { padding: 2rem; text-align: center; color: var(--muted) }

.toast { display: flex; gap: .75rem; width: min(22rem, calc(100vw - 1rem)); padding: .8rem; inset-block-end: 1rem; inset-inline-end: 1rem }
.toast b { font-weight: 620 }
.toast .words { align-content: center }
.toast .words span { color: var(--muted); font-size: .875rem; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }

@media (prefers-reduced-motion: no-preference) {
  .panel, .toast { animation: in .14s ease-out }
  .ring svg { animation: ring .6s ease-in-out; transform-origin: 50% 10% }
  @keyframes in { from { opacity: 0; transform: translateY(-6px) } }
  @keyframes ring { 20% { rotate: 14deg } 40% { rotate: -11deg } 60% { rotate: 7deg } 80% { rotate: -3deg } }
}
@media (forced-colors: active) {
  .badge, .off .badge { border: 1px solid; background: Mark; color: MarkText; forced-color-adjust: none }
}
@media print { :host { display: none } }
`

let sheet

/** The sheet that all bells of a page share. */
export function sheetOfAll () {
  sheet ??= sheetOf(CSS)
  return sheet
}

const worn = new Map() // the sheets of parts, by what they say

/** What stands in the shadow root of `part` also has the look `css`, which all parts of its kind share. */
export function dress (part, css) {
  const root = part.getRootNode()
  if (!worn.has(css)) worn.set(css, sheetOf(css))
  const sheets = root.adoptedStyleSheets
  if (!sheets.includes(worn.get(css))) root.adoptedStyleSheets = [...sheets, worn.get(css)]
}

export function sheetOf (css) {
  const made = new CSSStyleSheet()
  made.replaceSync(css.replace(/\n\s*/g, ' '))
  return made
}
