// Every word that the bell says; panel/texts.js adds the words of its lists. A page says it otherwise by an attribute,
// `text-empty="…"`, or by an element with `data-text="empty"` in a `<template data-texts>` inside the bell. `{n}`
// stands for a number.

const TEXTS = {
  label: 'Notifications',
  'label-unseen-one': 'Notifications, {n} new',
  'label-unseen': 'Notifications, {n} new',
  'label-unread': 'Notifications, {n} unread',
  loading: 'Loading…',
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

/** The words of a part that is loaded later. */
export function addTexts (texts) {
  Object.assign(TEXTS, texts)
}

/** The text `name` of `bell`, in the plural form of the page's language that `n` asks for. */
export function textOf (bell, name, n) {
  const lang = langOf(bell)
  const number = n === undefined ? '' : new Intl.NumberFormat(lang).format(n)
  const form = n === undefined ? '' : new Intl.PluralRules(lang).select(n)
  const text = ownText(bell, `${name}-${form}`) ?? ownText(bell, name) ?? TEXTS[`${name}-${form}`] ?? TEXTS[name]
  return text.replace('{n}', number)
}

/** What the page says for `key`, if it says anything. */
export function ownText (bell, key) {
  const template = bell.querySelector(':scope > template[data-texts]')
  return bell.getAttribute(`text-${key}`) ?? template?.content.querySelector(`[data-text="${CSS.escape(key)}"]`)?.textContent
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
