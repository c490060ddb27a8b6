// The content of the bell's dialog, in the frame that bell.js has shown already: a list, or several behind tabs, and
// in their place, while their user wants it, the preferences.

import { drawing, element } from '../bell-item.js'
import { dress } from '../bell-style.js'
import { textOf } from '../bell-texts.js'
import { Gear, declaredTitles } from './gear.js'
import { List } from './list.js'
import { LIST_LOOK } from './style.js'
import { Tabs } from './tabs.js'

const CHECKS = ['M1.5 12.5l5 5L17 7', 'M12.5 15.5l2 2L22.5 9']

export class Panel {
  #bell
  #frame
  #list
  #readAll
  #gear = null
  #titled = null // the user for whom the titles of tabs were asked for

  /** `numbers` are what the bell is told of its categories. */
  constructor (bell, frame, numbers) {
    this.#bell = bell
    this.#frame = frame
    const drawn = () => this.#drawn()
    this.#list = numbers.names ? new Tabs(bell, numbers.names, drawn) : new List(bell, {}, drawn)
    const words = textOf(bell, 'mark-all-read')
    this.#readAll = element('button', { class: 'close', part: 'read-all', type: 'button', 'aria-label': words, title: words, hidden: '' }, drawing(...CHECKS))
    this.#readAll.addEventListener('click', () => this.#list.readAll())
    dress(frame.root, LIST_LOOK)
    frame.closer.before(this.#readAll)
    frame.loading.replaceWith(this.#list.root)
    frame.root.addEventListener('keydown', event => this.#gear?.isOpen || this.#list.key(event))
    if (bell.hasAttribute('preferences')) this.#gear = new Gear(bell, frame, this.#list)
    this.counted(numbers.told)
  }

  /** The panel is looked at: what is new is loaded, shown and marked. */
  look () {
    if (this.#gear?.isOpen) return
    this.#list.look()
    this.#title()
  }

  /** What is listed may have changed, here or elsewhere. */
  changed () {
    if (!this.#gear?.isOpen) this.#list.changed()
  }

  /** What is unread, by the server's word; null while that is not known. */
  counted (counts) {
    this.#list.counted?.(counts)
  }

  /** The panel has been closed: the next time it begins anew. */
  leave () {
    this.#gear?.close()
    this.#list.leave()
  }

  /** Forget everything, as when somebody else has logged in. */
  clear () {
    this.#gear?.close()
    this.#list.clear()
  }

  /** The bell's state is another, or its panel has been opened. */
  turned (state) {
    this.#list.turned(state)
  }

  #drawn () {
    const isIdle = !this.#list?.hasUnread
    const focused = this.#readAll?.matches(':focus')
    if (this.#readAll) this.#readAll.hidden = isIdle
    if (focused && isIdle) this.#frame.root.focus()
  }

  /** The titles of tabs are those that the application has declared, once they are known. */
  async #title () {
    const { userId } = this.#bell.client
    if (!this.#list.titled || this.#titled === userId) return
    this.#titled = userId
    this.#list.titled(await declaredTitles(this.#bell).catch(() => ({})))
  }
}
