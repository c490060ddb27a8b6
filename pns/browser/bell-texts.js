// Every word that the bell says. A page says it otherwise by an attribute, `text-empty="…"`, or by an element
// with `data-text="empty"` in a `<template data-texts>` inside the bell. `{n}` stands for a number.

const TEXTS = {
  label: 'Notifications',
  'label-unseen-one': 'Notifications, {n} new',
  'label-unseen': 'Notifications, {n} new',
  new: 'New',
  earlier: 'Earlier',
  empty: 'Nothing here yet',
  'empty-hint': 'What happens next will show up at once.',
  loading: 'Loading…',
  older: 'Show older',
  close: 'Close',
  retry: 'Try now',
  connecting: 'Connecting…',
  offline: 'Offline. Reconnecting…',
  'offline-in': 'Offline. Reconnecting in {n} s',
  'logged-out': 'You are logged out.',
  error: 'Notifications are not available.',
  failed: 'This could not be loaded.',
  live: 'Connected again.',
  'arrived-one': '{n} new notification',
  arrived: '{n} new notifications',
  'more-one': 'and {n} more',
  more: 'and {n} more',
  push: 'Notify me when this page is closed',
  'push-denied': 'Notifications are blocked here. Allow them for this site in the settings of your browser.',
  'push-failed': 'This could not be changed. Try again later.',
  'push-title': 'New notification'
}

/** The text `name` of `bell`, in the plural form of the page's language that `n` asks for. */
export function textOf (bell, name, n) {
  const lang = langOf(bell)
  const number = n === undefined ? '' : new Intl.NumberFormat(lang).format(n)
  const form = n === undefined ? '' : new Intl.PluralRules(lang).select(n)
  const own = key => bell.getAttribute(`text-${key}`) ?? templated(bell, key)
  const text = own(`${name}-${form}`) ?? own(name) ?? TEXTS[`${name}-${form}`] ?? TEXTS[name]
  return text.replace('{n}', number)
}

function templated (bell, key) {
  const template = bell.querySelector(':scope > template[data-texts]')
  return template?.content.querySelector(`[data-text="${key}"]`)?.textContent
}

/** The language of the place where the bell stands, else the browser's. One that is none is not believed. */
export function langOf (bell) {
  const lang = bell.closest('[lang]')?.lang
  try {
    return lang ? Intl.getCanonicalLocales(lang)[0] : navigator.language
  } catch {
    return navigator.language
  }
}
