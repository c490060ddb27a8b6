// One entry of a list is a stop of Tab, with its controls; the arrow keys, Home and End make another one it. Left and
// right lead through the controls of an entry.

export class Roving {
  #current = null

  key (event, entries, entry) {
    const at = entries.indexOf(entry)
    const to = { ArrowDown: at + 1, ArrowUp: Math.max(0, at - 1), Home: 0, End: entries.length - 1 }[event.key]
    if (to !== undefined && entries.length) this.focus(entries[Math.min(to, entries.length - 1)])
    else if (!entry || !this.#aside(event, entry)) return
    event.preventDefault()
  }

  focus (entry) {
    this.#stop(entry)
    entry.target.focus()
  }

  /** The focus has come to `entry` by itself. */
  reach (entry) {
    if (entry && entry !== this.#current) this.#stop(entry)
  }

  /** One of `entries` is the stop, if there is any. */
  settle (entries) {
    if (!entries.includes(this.#current)) this.#stop(entries[0] ?? null)
  }

  /** `entry`, one of `entries`, goes: what has the focus next is beside it, or what holds them all. */
  leave (entry, entries, root) {
    const at = entries.indexOf(entry)
    const next = entries[at + 1] ?? entries[at - 1]
    if (!entry.hasFocus) {
      if (this.#current === entry) this.#stop(next ?? null)
    } else if (next) {
      // It comes to where the other one stood.
      this.#stop(next)
      next.target.focus({ preventScroll: true })
    } else (root.closest('[role=dialog]') ?? root).focus()
  }

  #stop (entry) {
    this.#current?.stop(false)
    this.#current = entry
    entry?.stop(true)
  }

  #aside ({ key, currentTarget }, entry) {
    const forward = getComputedStyle(entry.root).direction === 'rtl' ? 'ArrowLeft' : 'ArrowRight'
    if (!['ArrowLeft', 'ArrowRight'].includes(key)) return false
    const controls = entry.controls.filter(control => control.getClientRects().length)
    const at = controls.indexOf(entry.root.getRootNode().activeElement)
    const to = at + (key === forward ? 1 : -1)
    controls[Math.max(0, Math.min(to, controls.length - 1))]?.focus()
    return true
  }
}
