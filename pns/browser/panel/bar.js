// How tabs look.

export const TABS = `
.tabs { display: flex; flex: none; flex-wrap: wrap; gap: .125rem; padding: 0 .5rem; border-block-end: 1px solid var(--border); }
.tabs button { display: flex; flex: none; align-items: center; gap: .375rem; position: relative; padding: .625rem .5rem; color: var(--muted); font-size: .875rem; font-weight: 550; white-space: nowrap }
.tabs button:hover { color: var(--text) }
.tabs button:focus-visible { outline-offset: -3px; border-radius: 8px }
.tabs [aria-selected=true] { color: var(--text) }
.tabs [aria-selected=true]::after { content: ""; position: absolute; inset-inline: .5rem; inset-block-end: 0; height: 2px; border-radius: 2px 2px 0 0; background: var(--accent) }
[part=tab-count] { min-width: 1.25rem; padding: 0 .3rem; border-radius: 99px; background: var(--hover); color: var(--muted); font-size: .75rem; line-height: 1.25rem; text-align: center; font-variant-numeric: tabular-nums }
[aria-selected=true] [part=tab-count] { background: var(--soft); color: var(--accent) }
[role=tabpanel] { display: flex; flex-direction: column; flex: 1; min-height: 0 }
@media (forced-colors: active) {
  .tabs [aria-selected=true]::after { background: Highlight }
  [part=tab-count] { border: 1px solid }
}
`
