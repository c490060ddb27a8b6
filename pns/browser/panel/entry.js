// One line of a list: a notification, as the page or the bell draws it, its marks, its buttons, and what opens its
// menu. What is done with it is the list's.

import { contentOf, drawing, element } from '../bell-item.js'
import { langOf, textOf } from '../bell-texts.js'
import { Actions } from './actions.js'
import { groupTitle } from './group.js'
import { filled, itemOf, timeOf, told } from './item.js'
import { Marks } from './marks.js'

const MORE = 'M5 12h.01M12 12h.01M19 12h.01'

let entries = 0

export class Entry {
  #marks
  #able
  #isSeen
  #dot
  #place = document.createComment('')

  /**
   * `host` is the element whose list this is: its template, its `render` and its language are taken. `fresh`: it was
   * unseen. `able`: PNS keeps its marks. `deeds` does what its user wants.
   */
  constructor (host, notification, { fresh, able, deeds }) {
    this.notification = notification
    this.id = notification.notification_id
    this.fresh = fresh
    this.#able = able
    this.#isSeen = !fresh
    this.#marks = new Marks(notification)
    const pieces = groupTitle(notification, langOf(host), (n, more) => othersOf(host, n, more))
    const content = contentOf(notification.notification_data)
    if (pieces) content.title = pieces.map(({ text }) => text).join('')
    this.content = content
    const made = drawn(host, notification, content, pieces)
    this.#dot = element('span', { id: `unread-${++entries}`, class: 'dot', part: 'dot', role: 'img', 'aria-label': textOf(host, 'unread') })
    const actions = new Actions(host, this, () => deeds.opened(this))
    const more = `${textOf(host, 'actions')}: ${(content.title || content.body).slice(0, 80)}`
    this.menu = able ? element('button', { class: 'more', part: 'menu-button', type: 'button', tabindex: -1, 'aria-haspopup': 'menu', 'aria-expanded': 'false', 'aria-label': more }, drawing(MORE)) : ''
    this.root = element('li', { part: 'entry' }, made)
    this.target = focusable(this.root)
    this.root.prepend(this.#dot)
    this.root.append(actions.root, this.menu)
    this.controls = [this.target, ...actions.buttons, ...able ? [this.menu] : []]
    if (fresh && this.target.part.contains('item')) this.target.part.add('item-new')
    this.#listen(host, deeds)
    this.draw()
  }

  /** Its own mark is on its way. */
  get isAsked () {
    return this.#marks.isAsked
  }

  /** PNS lists it with the seen ones. */
  get isSeen () {
    return this.#isSeen
  }

  saw () {
    this.#isSeen = true
  }

  get marks () {
    return this.#able ? this.#marks.shown : { read: !this.fresh, archived: false }
  }

  take (notification) {
    this.#isSeen = true
    this.#marks.take(notification)
    this.draw()
  }

  ask (as) {
    this.#marks.ask(as)
    this.draw()
  }

  answered (as, done) {
    this.#marks.answered(as, done)
    this.draw()
  }

  draw () {
    const { read } = this.marks
    this.#dot.hidden = read
    this.root.classList.toggle('unread', !read)
    if (read) this.target.removeAttribute('aria-describedby')
    else this.target.setAttribute('aria-describedby', this.#dot.id)
  }

  /** It shows what `item` says: a member may have been taken out of its group. */
  says ({ notification_data: data, group }) {
    const { notification } = this
    return this.isAsked || (data === notification.notification_data && JSON.stringify(group) === JSON.stringify(notification.group))
  }

  /** `entry` stands in its place, with the focus where it has it. */
  become (entry) {
    const focused = this.hasFocus
    this.root.replaceWith(entry.root)
    this.#place.replaceWith(entry.root)
    if (focused) entry.target.focus()
  }

  /** The focus is in it, or in its menu. */
  get hasFocus () {
    const { activeElement } = this.root.getRootNode()
    return this.root.contains(activeElement) || this.menu.getAttribute?.('aria-expanded') === 'true'
  }

  /** It is in a list, or its place is. */
  get isPlaced () {
    return Boolean(this.root.parentNode ?? this.#place.parentNode)
  }

  /** It stands in its place, or only keeps it. */
  stand (stands) {
    const [now, next] = stands ? [this.#place, this.root] : [this.root, this.#place]
    if (now.parentNode) now.replaceWith(next)
  }

  remove () {
    this.root.remove()
    this.#place.remove()
  }

  /** Its controls can be reached by Tab, or not. */
  stop (isStop) {
    for (const control of this.controls) control.tabIndex = isStop ? 0 : -1
  }

  #listen (host, deeds) {
    const { notification, content } = this
    this.target.addEventListener('click', event => {
      if (!told(host, 'pns-click', { notification, content })) event.preventDefault()
      deeds.opened(this)
    })
    // The middle button opens another tab, and is no click.
    this.target.addEventListener('auxclick', event => event.button === 1 && content.url && deeds.opened(this))
    if (this.menu) this.menu.addEventListener('click', () => deeds.choose(this))
  }
}

function drawn (host, notification, content, pieces) {
  const time = timeOf(notification.create_date, langOf(host))
  const template = host.querySelector(':scope > template[data-item]')
  return host.render?.(notification, content) ??
    (template ? filled(template, content, time) : itemOf(content, time, pieces))
}

/** What takes the focus in an entry: its link or button, else the first element, else the entry itself. */
function focusable (entry) {
  const target = entry.querySelector('a[href], button') ?? entry.firstElementChild ?? entry
  if (!target.hasAttribute('tabindex')) target.tabIndex = -1
  return target
}

/** Beyond a thousand members are not told apart. */
function othersOf (host, n, more) {
  const words = textOf(host, 'others', n)
  const number = new Intl.NumberFormat(langOf(host)).format(n)
  return more ? words.replace(number, () => `${number}+`) : words
}
