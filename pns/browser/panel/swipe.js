// Swiping an entry to one side archives it, by touch and pen alone: nothing that a menu could not do.

const SLOP = 12 // pixels until it is known which way a finger goes
const FAR = 0.35 // of the entry's width

/** `list` is an element of entries; `act` is called with the one that was swept away. */
export function swipe (list, act) {
  let entry = null
  let from = null
  let by = 0

  const back = () => {
    if (entry) entry.style.transform = entry.style.opacity = ''
    entry?.classList.remove('swept')
    entry = from = null
    by = 0
  }
  list.addEventListener('pointerdown', event => {
    back()
    if (event.pointerType === 'mouse' || !event.isPrimary) return
    entry = event.target.closest('li')
    from = event
  })
  list.addEventListener('pointermove', event => {
    if (!entry || event.pointerId !== from.pointerId) return
    by = event.clientX - from.clientX
    const down = Math.abs(event.clientY - from.clientY)
    const sweeping = entry.classList.contains('swept')
    if (!sweeping && down > SLOP && down > Math.abs(by)) return back()
    if (!sweeping && Math.abs(by) < SLOP) return
    entry.classList.add('swept')
    if (!sweeping) list.setPointerCapture(event.pointerId)
    entry.style.transform = `translateX(${by}px)`
    entry.style.opacity = String(1 - Math.min(0.6, Math.abs(by) / entry.offsetWidth))
  })
  list.addEventListener('pointerup', () => {
    const swept = entry?.classList.contains('swept') && Math.abs(by) > FAR * entry.offsetWidth ? entry : null
    if (entry?.classList.contains('swept')) swallow(list)
    back()
    if (swept) act(swept)
  })
  list.addEventListener('pointercancel', back)
}

/** The click that ends a sweep is none. */
function swallow (list) {
  const no = event => {
    event.preventDefault()
    event.stopPropagation()
  }
  list.addEventListener('click', no, { capture: true, once: true })
  setTimeout(() => list.removeEventListener('click', no, { capture: true }))
}
