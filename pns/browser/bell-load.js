// Fetches what is shown later. panel.js is fetched once for all elements of a page: when a panel is opened first, or when
// the page has nothing to do.

const FILE = './panel.js' // PNS puts the name with the version here, as into an import

/** The folder of the scripts, where PNS is unless a page says otherwise. Not by new URL(): bundlers would look for a file. */
export const HERE = import.meta.url.replace(/[^/]*([?#].*)?$/, '')

let loading = null
let failures = 0

/** The module panel.js. Rejects where it cannot be loaded; asked again, it is fetched again. */
export function panelModule () {
  loading ??= import('./panel.js').catch(again).catch(error => {
    loading = null
    throw error
  })
  return loading
}

/** Chromium keeps the failure of an address for as long as the page lives. */
function again () {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ `${new URL(FILE, import.meta.url)}?${++failures}`)
}

/** The module of preferences. Rejects where it cannot be loaded. */
export function preferencesModule () {
  return import('./bell-preferences.js')
}

/** What snoozes for `host`, whose list is `list`; null where that cannot be. */
export function snoozingOf (host, list) {
  return import('./bell-snooze.js').then(module => module.snoozingOf(host, list)).catch(() => null)
}

/** Call `act` when the page has nothing to do. */
export function idle (act) {
  if (globalThis.requestIdleCallback) requestIdleCallback(act, { timeout: 5000 })
  else setTimeout(act, 2000)
}
