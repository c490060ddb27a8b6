// One notification as an element of the list. What a notification says reaches the page as text and as checked
// attributes, never as markup. Knows nothing of the connection, and nothing of what has been seen.

const SVG = 'http://www.w3.org/2000/svg'

/** A new element; `attributes` that are undefined are left out, the rest of the arguments is its content. */
export function element (tag, attributes = {}, ...content) {
  const made = document.createElement(tag)
  for (const name in attributes) if (attributes[name] !== undefined) made.setAttribute(name, attributes[name])
  made.append(...content)
  return made
}

/** A drawing in the current colour, 24 by 24; it says nothing to a screen reader. */
export function drawing (...paths) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('viewBox', '0 0 24 24')
  svg.setAttribute('aria-hidden', 'true')
  for (const d of paths) {
    const path = document.createElementNS(SVG, 'path')
    path.setAttribute('d', d)
    svg.append(path)
  }
  return svg
}

export const BELL = 'M18 8.5a6 6 0 0 0-12 0c0 6.5-2.5 8-2.5 8h17s-2.5-1.5-2.5-8M13.7 20a2 2 0 0 1-3.4 0'

/**
 * What the data says by PNS's convention, JSON text of title, body, url and icon; a plain string is a title.
 * Members that are no text are left out. `url` and `icon` are absolute and safe to follow and to load, or "".
 */
export function contentOf (data) {
  let said
  try {
    said = JSON.parse(data)
  } catch {}
  if (!said || typeof said !== 'object' || Array.isArray(said)) said = { title: data }
  const text = name => typeof said[name] === 'string' ? said[name] : ''
  const content = { title: text('title'), body: text('body'), url: link(text('url')), icon: image(text('icon')) }
  if (!content.title && !content.body) content.title = data
  return content
}

/** http and https only: nothing that runs, nothing that leaves the browser for another program. */
function link (text) {
  const url = parsed(text)
  return url && /^https?:$/.test(url.protocol) ? url.href : ''
}

/** https, or the page's own origin. A `blob:` has that origin, too, but is no address to load. */
function image (text) {
  const url = parsed(text)
  return url && (url.protocol === 'https:' || url.origin === location.origin && url.protocol === 'http:') ? url.href : ''
}

function parsed (text) {
  try {
    return text ? new URL(text, document.baseURI) : null
  } catch {
    return null
  }
}

/** The element for `content`: a link where it leads somewhere, else a box that can take the focus. */
export function itemOf (content, time) {
  const { title, body, url, icon } = content
  const made = element(url ? 'a' : 'div', { part: 'item', href: url || undefined, tabindex: -1 })
  const picture = element('span', { part: 'icon' }, drawing(BELL))
  if (icon) picture.append(loaded(icon))
  const words = element('span', { class: 'words' })
  if (title) words.append(element('b', { part: 'item-title', dir: 'auto' }, title))
  if (body) words.append(element('span', { part: 'item-body', dir: 'auto' }, body))
  words.append(time)
  made.append(picture, words)
  return made
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
