// What was just done, or could not be done, in a line below the list, for as long as it takes to read it; with a
// button that takes it back.

import { element } from '../bell-item.js'

const READ_IN = 8000 // milliseconds; the line stays while it is pointed at or has the focus

export class Notice {
  #said
  #button
  #act = null
  #timer

  constructor () {
    this.#said = element('span', { role: 'status' })
    this.#button = element('button', { part: 'undo', type: 'button', hidden: '' })
    this.root = element('div', { class: 'notice', part: 'notice' }, this.#said, this.#button)
    this.#button.addEventListener('click', () => this.act())
    for (const name of ['pointerenter', 'focusin']) this.root.addEventListener(name, () => clearTimeout(this.#timer))
    for (const name of ['pointerleave', 'focusout']) this.root.addEventListener(name, () => this.#wait())
  }

  get isOn () {
    return this.root.classList.contains('on')
  }

  /**
   * Say `words`; the button with the words `name` calls `act`, once. What the line stands in gets no lower meanwhile:
   * the second click of a double click would meet what is below.
   */
  say (words, name = '', act = null) {
    const { style, offsetHeight } = this.root.parentNode
    style.minHeight = `${offsetHeight}px`
    this.#act = act
    this.#said.textContent = words
    this.#button.textContent = name
    this.#button.hidden = !act
    this.root.classList.add('on')
    this.#wait()
  }

  /** As if its button had been pressed; false where there is none. */
  act () {
    const act = this.#act
    this.#act = null
    if (act) act()
    return Boolean(act)
  }

  hide () {
    clearTimeout(this.#timer)
    this.#act = null
    this.#said.textContent = ''
    this.#button.hidden = true
    this.root.classList.remove('on')
    this.root.parentNode.style.minHeight = ''
  }

  #wait () {
    clearTimeout(this.#timer)
    if (this.isOn) this.#timer = setTimeout(() => this.hide(), READ_IN)
  }
}
