// How the bell looks. A constructed sheet, because a strict Content-Security-Policy refuses `<style>`. A page
// changes it by the properties `--pns-…` and by `::part(…)`.

const DARK = `
  --surface: var(--pns-surface, #1c1c22); --text: var(--pns-text, #ededf2); --muted: var(--pns-muted, #a0a0ae);
  --border: var(--pns-border, #34343f); --hover: var(--pns-hover, #282831); --accent: var(--pns-accent, #a5a0ff);
  --soft: var(--pns-accent-soft, #272650);
  --warn: var(--pns-warn-surface, #3a2d12); --on-warn: var(--pns-warn-text, #f6d58b); color-scheme: dark;`

const CSS = `
:host {
  --surface: var(--pns-surface, #fff); --text: var(--pns-text, #1d1d27); --muted: var(--pns-muted, #62626f);
  --border: var(--pns-border, #e4e4ec); --hover: var(--pns-hover, #f4f4f8); --accent: var(--pns-accent, #4f46e5);
  --soft: var(--pns-accent-soft, #eeedfd);
  --warn: var(--pns-warn-surface, #fdf3dc); --on-warn: var(--pns-warn-text, #6f4a00);
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
.head { display: flex; align-items: center; padding-block: .5rem; padding-inline: 1rem .5rem; border-block-end: 1px solid var(--border) }
h2 { flex: 1; font-size: 1.0625rem; font-weight: 650; letter-spacing: -.005em }
.close { display: grid; place-items: center; width: 2rem; height: 2rem; border-radius: 8px; color: var(--muted); font-size: .8125rem }
.close:hover { background: var(--hover); color: var(--text) }
.state { display: flex; align-items: center; gap: .75rem; padding: .55rem 1rem; background: var(--warn); color: var(--on-warn); font-size: .875rem }
.state.connecting { background: var(--hover); color: var(--muted) }
.state span { flex: 1; font-variant-numeric: tabular-nums }
.state button { padding: .15rem .7rem; border: 1px solid currentColor; border-radius: 8px; font-weight: 600 }
.list { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: .375rem }
h3 { padding: .5rem .625rem .25rem; color: var(--muted); font-size: .75rem; font-weight: 600; letter-spacing: .02em }
ul { list-style: none; padding: 0 }
[part~=item] { display: flex; gap: .75rem; position: relative; padding: .625rem; border-radius: 10px; color: inherit; text-decoration: none; cursor: default }
a[part~=item] { cursor: pointer }
[part~=item]:hover { background: var(--hover) }
[part~=item]:focus-visible { outline-offset: -2px }
[part=icon] { display: grid; place-items: center; position: relative; flex: none; width: 2.25rem; height: 2.25rem; border-radius: 10px; overflow: hidden; background: var(--hover); color: var(--muted); font-size: .8125rem }
[part=icon] img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; background: var(--surface) }
.new [part=icon], .toast [part=icon] { background: var(--soft); color: var(--accent) }
.new [part~=item]::after { content: ""; flex: none; width: .5rem; height: .5rem; margin-block-start: .45rem; border-radius: 50%; background: var(--accent) }
.words { display: grid; flex: 1; gap: .0625rem; min-width: 0 }
[part=item-title] { font-weight: 500; line-height: 1.35; text-align: start; white-space: pre-line }
.new [part=item-title] { font-weight: 620 }
[part=item-body] { color: var(--muted); font-size: .875rem; line-height: 1.4; white-space: pre-line; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 4; overflow: hidden }
time { color: var(--muted); font-size: .8125rem }
.empty { display: grid; justify-items: center; gap: .25rem; padding: 2.75rem 1.5rem 3.25rem; text-align: center; color: var(--muted) }
.empty svg { width: 2.5rem; height: 2.5rem; margin-block-end: .5rem; stroke-width: 1.25 }
.empty b { color: var(--text); font-weight: 600 }
.older { display: block; width: 100%; padding: .6rem; border-radius: 10px; color: var(--accent); font-size: .875rem; font-weight: 600 }
.older:hover { background: var(--hover) }
.loading { padding: 2rem; text-align: center; color: var(--muted) }

.push { flex: none; padding: .375rem; border-block-start: 1px solid var(--border); font-size: .875rem }
.push button { display: flex; align-items: center; gap: .75rem; width: 100%; padding: .5rem .625rem; border-radius: 10px; text-align: start }
.push button:hover { background: var(--hover) }
.push button:focus-visible { outline-offset: -2px }
.push button span:first-child { flex: 1 }
.push [aria-busy=true] { cursor: progress }
.push [aria-busy=true] .track, .push [aria-disabled=true] .track { opacity: .5 }
.push p { padding: 0 .625rem .375rem; color: var(--muted); font-size: .8125rem }
.push p:empty { display: none }
.track { flex: none; width: 2.25rem; height: 1.25rem; padding: .125rem; border-radius: 99px; background: var(--muted) }
.track::before { content: ""; display: block; width: 1rem; height: 1rem; border-radius: 50%; background: var(--surface) }
[aria-checked=true] .track { background: var(--accent) }
[aria-checked=true] .track::before { margin-inline-start: 1rem }

.toast { display: flex; gap: .75rem; width: min(22rem, calc(100vw - 1rem)); padding: .8rem; inset-block-end: 1rem; inset-inline-end: 1rem }
.toast b { font-weight: 620 }
.toast .words { align-content: center }
.toast .words span { color: var(--muted); font-size: .875rem; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden }
.said { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap }

@media (prefers-reduced-motion: no-preference) {
  .panel, .toast { animation: in .14s ease-out }
  .track, .track::before { transition: background .14s, margin .14s }
  .ring svg { animation: ring .6s ease-in-out; transform-origin: 50% 10% }
  @keyframes in { from { opacity: 0; transform: translateY(-6px) } }
  @keyframes ring { 20% { rotate: 14deg } 40% { rotate: -11deg } 60% { rotate: 7deg } 80% { rotate: -3deg } }
}
@media (forced-colors: active) {
  .badge, .new [part~=item]::after { border: 1px solid; background: Mark }
  .track { padding: 1px; border: 1px solid; background: Canvas }
  .track::before, [aria-checked=true] .track { background: ButtonText }
  [aria-checked=true] .track::before { background: Canvas }
}
@media print { :host { display: none } }
`

let sheet

/** The sheet that all bells of a page share. */
export function sheetOfAll () {
  if (!sheet) {
    sheet = new CSSStyleSheet()
    sheet.replaceSync(CSS.replace(/\n\s*/g, ' '))
  }
  return sheet
}
