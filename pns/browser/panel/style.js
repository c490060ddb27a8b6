// How lists, what they show, and the switches look. The colours are the bell's, in bell-style.js.

import { TABS } from './bar.js'

const LISTS = `
.box { display: flex; flex-direction: column; flex: 1; min-height: 0; position: relative }
.list { flex: 1; overflow-y: auto; overscroll-behavior: contain; padding: .375rem }
h3 { padding: .5rem .625rem .25rem; color: var(--muted); font-size: .75rem; font-weight: 600 }
ul { list-style: none; padding: 0; overflow-x: clip; touch-action: pan-y pinch-zoom }
[part=entry] { position: relative; border-radius: 10px }
[part=entry]:is(:hover, :has([aria-expanded=true])) { background: var(--hover) }
[part~=item] { display: flex; gap: .75rem; padding: .625rem; padding-inline-end: 2.375rem; border-radius: 10px; color: inherit; text-decoration: none; cursor: default }
a[part~=item] { cursor: pointer }
[part~=item]:focus-visible { outline-offset: -2px }
[part=icon] img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; background: var(--surface) }
[part=item-title] { font-weight: 450; line-height: 1.35; text-align: start; white-space: pre-line }
.unread [part=icon] { background: var(--soft); color: var(--accent) }
.unread [part=item-title] { font-weight: 620 }
.dot { position: absolute; z-index: 1; inset-block-start: 1.05rem; inset-inline-end: .875rem; width: .5rem; height: .5rem; border-radius: 50%; background: var(--accent); pointer-events: none }
[part=item-body] { color: var(--muted); font-size: .875rem; line-height: 1.4; white-space: pre-line; display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 4; overflow: hidden }
time, .note { color: var(--muted); font-size: .8125rem }
.more { display: grid; place-items: center; position: absolute; z-index: 2; inset-block-start: .375rem; inset-inline-end: .25rem; width: 1.75rem; height: 1.75rem; border-radius: 8px; color: var(--muted); background: var(--hover) }
.more svg { width: 1.25em; height: 1.25em; stroke-width: 3 }
.more:is(:hover, [aria-expanded=true]) { color: var(--text); background: color-mix(in srgb, var(--text) 12%, var(--hover)) }
.actions { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; padding-block: 0 .75rem; padding-inline: 3.625rem .625rem }
[part~=action] { max-width: 100%; padding: .25rem .75rem; border: 1px solid var(--border); border-radius: 8px; background: var(--surface); color: var(--text); font-size: .8125rem; font-weight: 600; line-height: 1.45; text-decoration: none; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
[part~=action]:hover { border-color: var(--muted) }
[part~=primary] { border-color: var(--accent); background: var(--accent); color: var(--surface) }
[part~=primary]:hover { border-color: var(--accent); filter: brightness(1.08) }
[part~=danger] { color: var(--danger) }
[part~=danger]:hover { border-color: var(--danger) }
[part~=action][aria-disabled=true] { opacity: .6; cursor: progress }
.action-failed { flex-basis: 100%; color: var(--danger) }
.menu { position: fixed; inset: auto; z-index: var(--pns-z, 1000); min-width: 11rem; max-width: calc(100vw - 1rem); margin: 0; padding: .25rem; border: 1px solid var(--border); border-radius: min(10px, var(--radius)); background: var(--surface); color: var(--text); box-shadow: 0 4px 16px rgb(0 0 0/.25); font-size: .875rem; text-align: start; outline: 0 }
.menu button { display: block; width: 100%; padding: .5rem .625rem; border-radius: 7px; text-align: start }
.menu button:is(:hover, :focus) { background: var(--hover); outline-offset: -2px }
.notice { display: flex; position: absolute; z-index: 3; inset-inline: .5rem; inset-block-end: .5rem; align-items: center; gap: .75rem; padding: .625rem .875rem; border-radius: 10px; background: var(--text); color: var(--surface); font-size: .875rem; box-shadow: 0 4px 16px rgb(0 0 0/.25) }
.notice:not(.on) { opacity: 0; pointer-events: none }
.notice span { flex: 1 }
.notice button { min-height: 1.5rem; padding: .125rem .5rem; border-radius: 6px; font-weight: 650; text-decoration: underline }
.notice button:focus-visible { outline-color: currentColor }
.empty { display: grid; justify-items: center; gap: .25rem; padding: 3rem 1.5rem; text-align: center; color: var(--muted) }
.empty svg { width: 2.5rem; height: 2.5rem; margin-block-end: .5rem; stroke-width: 1.25 }
.empty b { color: var(--text); font-weight: 600 }
.older { display: block; width: 100%; padding: .6rem; border-radius: 10px; color: var(--accent); font-size: .875rem; font-weight: 600 }
.older:hover { background: var(--hover) }

.track { flex: none; width: 2.25rem; height: 1.25rem; padding: .125rem; border-radius: 99px; background: var(--muted) }
.track::before { content: ""; display: block; width: 1rem; height: 1rem; border-radius: 50%; background: var(--surface) }
[aria-checked=true] .track { background: var(--accent) }
[aria-checked=true] .track::before { margin-inline-start: 1rem }

@media (hover: hover) {
  .more:not(:focus-visible, [aria-expanded=true], li:hover > *) { opacity: 0 }
  li:hover .dot, li:has(> .more:is(:focus-visible, [aria-expanded=true])) .dot { opacity: 0 }
}
@media (hover: none) {
  [part~=item] { padding-inline-end: 3rem }
  .more { inset-block-start: .25rem; width: 2.5rem; height: 2.5rem; background: none }
  .dot { inset-inline-end: 2.75rem }
}
@media (prefers-reduced-motion: no-preference) {
  .track, .track::before { transition: background .14s, margin .14s }
  .menu, .notice.on { animation: in .12s ease-out }
  li:not(.swept) { transition: transform .14s, opacity .14s }
}
@media (forced-colors: active) {
  .dot { border: 1px solid; background: Mark; forced-color-adjust: none }
  .menu button:is(:hover, :focus) { outline: 2px solid Highlight }
  [part~=action], .notice { background: Canvas; color: CanvasText }
  .notice { border: 1px solid }
  .track { padding: 1px; border: 1px solid; background: Canvas }
  .track::before, [aria-checked=true] .track { background: ButtonText }
  [aria-checked=true] .track::before { background: Canvas }
}
`

/** The look of all lists of a page, beside that of the bell. */
export const LIST_LOOK = LISTS + TABS
