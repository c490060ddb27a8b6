// The button that shows a user's preferences in place of the list, and the way back. What they are is
// bell-preferences.js's, which is loaded when it is wanted.

import { drawing, element } from '../bell-item.js'
import { preferencesModule } from '../bell-load.js'
import { textOf } from '../bell-texts.js'

const GEAR = ['M4 8h8M18 8h2M4 16h2M12 16h8', 'M15 5.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 1 0 0-5M9 13.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 1 0 0-5']
const BACK = 'M14.5 5.5L8 12l6.5 6.5'

export class Gear {
  #host
  #frame
  #list
  #button
  #back
  #choices = null

  /** In `frame` stands `list`, until the button is pressed. */
  constructor (host, frame, list) {
    this.#host = host
    this.#frame = frame
    this.#list = list
    const words = textOf(host, 'preferences')
    this.#button = element('button', { class: 'close', part: 'gear', type: 'button', 'aria-label': words, title: words }, drawing(...GEAR))
    this.#back = element('button', { class: 'close back', part: 'back', type: 'button', 'aria-label': textOf(host, 'back'), hidden: '' }, drawing(BACK))
    frame.closer.before(this.#button)
    frame.title.before(this.#back)
    this.#button.addEventListener('click', () => this.#open())
    this.#back.addEventListener('click', () => {
      this.close()
      this.#list.look()
      this.#button.focus()
    })
  }

  get isOpen () {
    return !this.#back.hidden
  }

  /** The list is there again, and nothing is left of the preferences. */
  close () {
    this.#choices?.clear()
    if (this.isOpen) this.#turn(false)
  }

  async #open () {
    this.#list.leave()
    this.#turn(true)
    this.#back.focus()
    this.#choices ??= await made(this.#host, this.#frame.root)
    if (this.isOpen) this.#choices?.load(titles => this.#list.titled?.(titles))
  }

  #turn (isOpen) {
    this.#back.hidden = !isOpen
    this.#button.hidden = isOpen
    this.#frame.root.classList.toggle('choosing', isOpen)
    this.#frame.title.textContent = textOf(this.#host, isOpen ? 'preferences' : 'label')
  }
}

/** The preferences, in `place`; null where their code cannot be loaded, which the host says. */
async function made (host, place) {
  try {
    const { Choices } = await preferencesModule()
    const choices = new Choices(host)
    place.append(choices.root)
    return choices
  } catch {
    host.failed()
    return null
  }
}

/** The titles that the application has declared for its categories, once somebody asks; none where it cannot be. */
export function declaredTitles (host) {
  return preferencesModule().then(({ titlesOf }) => titlesOf(host))
}
