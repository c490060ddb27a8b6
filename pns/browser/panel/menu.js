// A menu beside the button that opened it. The arrow keys, Home, End and first letters lead the focus; Escape, Tab and
// a press or a turn of the wheel close it. What is chosen is done once, and the focus is back at the button by then.
// The menu goes where its button goes: what is listed above may come and go.

import { element } from '../bell-item.js'

const EDGE = 8 // pixels to the window's edge

export class Menu {
  #button = null
  #page = null // ends what listens to the page

  constructor () {
    this.root = element('div', { class: 'menu', part: 'menu', role: 'menu', tabindex: -1, hidden: '' })
    if (this.root.showPopover) this.root.popover = 'manual'
    this.root.addEventListener('keydown', event => this.#key(event))
    this.root.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget && !this.root.contains(relatedTarget)) this.close()
    })
  }

  get isOpen () {
    return !this.root.hidden
  }

  /** `choices`: words, what is done when they are chosen, and further attributes. */
  open (button, choices) {
    this.close()
    this.#button = button
    this.root.replaceChildren(...choices.map(choice => this.#item(choice)))
    this.root.setAttribute('aria-label', button.getAttribute('aria-label'))
    this.root.hidden = false
    this.root.showPopover?.()
    button.setAttribute('aria-expanded', 'true')
    this.#page = new AbortController()
    const { signal } = this.#page
    const elsewhere = event => event.composedPath().some(node => node === this.root || node === button) || this.#leave()
    for (const name of ['pointerdown', 'wheel', 'blur']) addEventListener(name, elsewhere, { signal, capture: true })
    const follow = () => {
      if (!button.isConnected) this.close()
      if (signal.aborted) return
      this.#place()
      requestAnimationFrame(follow)
    }
    follow()
    this.root.firstElementChild.focus()
  }

  close () {
    if (!this.isOpen) return
    this.#page.abort()
    this.root.hidePopover?.()
    this.root.hidden = true
    this.root.replaceChildren()
    this.#button.setAttribute('aria-expanded', 'false')
  }

  #item ([words, act, more]) {
    const item = element('button', { part: 'menu-item', role: 'menuitem', type: 'button', tabindex: -1, ...more }, words)
    item.addEventListener('click', () => {
      if (!this.isOpen) return
      this.#leave()
      act()
    })
    item.addEventListener('pointerenter', () => item.focus())
    return item
  }

  #leave () {
    this.#button.focus({ preventScroll: true })
    this.close()
  }

  #place () {
    this.root.style.left = 0 // where it stood before would narrow it
    const button = this.#button.getBoundingClientRect()
    const { offsetWidth: width, offsetHeight: height, style } = this.root
    const { clientWidth, clientHeight } = document.documentElement
    const wanted = getComputedStyle(this.#button).direction === 'rtl' ? button.left : button.right - width
    const below = button.bottom + height + EDGE <= clientHeight
    style.left = `${Math.max(EDGE, Math.min(wanted, clientWidth - width - EDGE))}px`
    style.top = `${Math.max(EDGE, below ? button.bottom : button.top - height)}px`
  }

  #key (event) {
    const items = [...this.root.children]
    const at = items.indexOf(event.composedPath()[0])
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key] ?? this.#starting(items, at, event)
    if (to !== undefined) items.at(to % items.length).focus()
    else if (['Escape', 'Tab'].includes(event.key)) this.#leave()
    else return
    event.stopPropagation()
    if (event.key !== 'Tab') event.preventDefault()
  }

  /** The next item that begins with the pressed letter. */
  #starting (items, at, { key, ctrlKey, metaKey, altKey }) {
    if (key.length > 1 || key === ' ' || ctrlKey || metaKey || altKey) return undefined
    const from = [...items.slice(at + 1), ...items.slice(0, at + 1)]
    const found = from.find(item => item.textContent.toLowerCase().startsWith(key.toLowerCase()))
    return found && items.indexOf(found)
  }
}
