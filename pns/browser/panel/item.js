// One notification as an element of the list. Knows nothing of the connection, and nothing of what has been seen.

import { BELL, drawing, element } from '../bell-item.js'

/** Tell the page by an event; false where the page takes it into its own hands. */
export function told (host, name, detail) {
  return host.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable: true }))
}

/**
 * The element for `content`: a link where it leads somewhere, else a box that can take the focus. `pieces` are those of
 * a title with names in it, which keep their own direction.
 */
export function itemOf (content, time, pieces) {
  const { title, body, url, icon } = content
  const made = element(url ? 'a' : 'div', { part: 'item', href: url || undefined, tabindex: -1 })
  const picture = element('span', { part: 'icon' }, drawing(BELL))
  if (icon) picture.append(loaded(icon))
  const words = element('span', { class: 'words' })
  if (title) words.append(element('b', { part: 'item-title', dir: 'auto' }, ...(pieces ?? [{ text: title }]).map(pieceOf)))
  if (body) words.append(element('span', { part: 'item-body', dir: 'auto' }, body))
  words.append(time)
  made.append(picture, words)
  return made
}

function pieceOf ({ text, name }) {
  return name ? element('bdi', {}, text) : text
}

function loaded (address) {
  const picture = element('img', { alt: '', decoding: 'async', referrerpolicy: 'no-referrer' })
  // Refused by the page's policy, or away: the drawing below it stays.
  picture.addEventListener('error', () => picture.remove())
  picture.src = address
  return picture
}

/** A copy of the page's own template, each `data-field` in it filled by the field of that name. */
export function filled (template, content, time) {
  const copy = template.content.cloneNode(true)
  for (const node of copy.querySelectorAll('[data-field]')) {
    const field = node.dataset.field
    if (field === 'time') node.replaceChildren(time)
    else if (field === 'url') content.url ? node.setAttribute('href', content.url) : node.removeAttribute('href')
    else if (field === 'icon') content.icon ? node.setAttribute('src', content.icon) : node.remove()
    else node.textContent = content[field] ?? ''
  }
  return copy
}

const UNITS = [['day', 86400], ['hour', 3600], ['minute', 60]]

/** A time element, as `age` words it; the exact time is its tooltip. */
export function timeOf (date, lang) {
  const exact = new Date(date).toLocaleString(lang, { dateStyle: 'full', timeStyle: 'short' })
  return element('time', { part: 'item-time', datetime: date, title: exact }, age(date, lang))
}

/** How long ago, for a week; then the date. */
export function age (date, lang, now = Date.now()) {
  const seconds = Math.min(0, (Date.parse(date) - now) / 1000)
  if (seconds < -7 * 86400) return new Date(date).toLocaleDateString(lang, { dateStyle: 'medium' })
  const words = new Intl.RelativeTimeFormat(lang, { numeric: 'auto' })
  for (const [unit, length] of UNITS) if (seconds <= -length) return words.format(Math.ceil(seconds / length), unit)
  return words.format(0, 'second')
}
