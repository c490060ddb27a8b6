// What a notification says, and how an element is made of it: it reaches the page as text and as checked attributes,
// never as markup.

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

/** The members of `data`, which is JSON text by PNS's convention; a plain string is a title. */
export function saidIn (data) {
  let said
  try {
    said = JSON.parse(data)
  } catch {}
  return said && typeof said === 'object' && !Array.isArray(said) ? said : { title: data }
}

/**
 * What the data says: title, body, url and icon. Members that are no text are left out. `url` and `icon` are absolute
 * and safe to follow and to load, or "".
 */
export function contentOf (data) {
  const said = saidIn(data)
  const text = name => typeof said[name] === 'string' ? said[name] : ''
  const content = { title: text('title'), body: text('body'), url: link(text('url')), icon: image(text('icon')) }
  if (!content.title && !content.body) content.title = data
  return content
}

/** http and https only: nothing that runs, nothing that leaves the browser for another program. */
export function link (text) {
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
