// What has just come, for a moment, in a corner of the page; it stays while somebody points at it.

import { BELL, contentOf, drawing, element } from './bell-item.js'
import { textOf } from './bell-texts.js'

const SHOWN_FOR = 6000 // milliseconds

/** The newest of `items` as a button that opens the panel of `bell`; it goes by itself. */
export function toastOf (bell, items) {
  const { title, body } = contentOf(items.at(-1).notification_data)
  const more = items.length > 1 ? textOf(bell, 'more', items.length - 1) : ''
  const words = element('span', { class: 'words' }, element('b', { dir: 'auto' }, title || body))
  if (title && body) words.append(element('span', { dir: 'auto' }, body))
  if (more) words.append(element('span', {}, more))
  const toast = element('button', { class: 'toast', part: 'toast', type: 'button' }, element('span', { part: 'icon' }, drawing(BELL)), words)
  let timer
  const wait = () => { timer = setTimeout(() => toast.remove(), SHOWN_FOR) }
  const stay = () => clearTimeout(timer)
  toast.addEventListener('click', () => bell.open())
  for (const name of ['pointerenter', 'focus']) toast.addEventListener(name, stay)
  for (const name of ['pointerleave', 'blur']) toast.addEventListener(name, wait)
  wait()
  return toast
}
