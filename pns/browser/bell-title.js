// The page's title has one owner for all bells of the page: the count stands before what the page itself calls
// itself. Other scripts write the title as well: what they keep before it stays, and none is answered for ever.

const KEPT = 100 // titles that were written here
const ANSWER = 100 // milliseconds; what another script writes within them after us is its answer to us
const UNDONE = 3 // times in a row that a title may lose its mark, until it is marked later only
const PAUSE = 5000 // how much later, at first

const marks = new Map() // what each bell wants to stand there: its count, and the mark
const written = new Map() // what was written here, with what was the page's own of it
let observer = null
let own = ''
let at = 0 // when
let answers = 0 // of another script to what was written here, in a row
let undone = 0
let pauses = 0
let timer

/** `bell` wants `mark` before the title, for its `count`; without a mark it has none, and null is its end. */
export function entitle (bell, mark, count) {
  if ((marks.get(bell)?.[1] ?? null) === mark) return
  if (mark === null) marks.delete(bell)
  else marks.set(bell, [count, mark])
  answers = undone = pauses = 0
  put(split())
  watch()
}

/** The mark of the highest count: bells of one user agree, but not in the same moment. */
function wanted () {
  return [...marks.values()].reduce((one, other) => other[0] > one[0] ? other : one, [0, ''])[1]
}

/** What another script keeps before the mark, and the page's own title behind it. */
function split (title = document.title) {
  for (const [text, its] of [...written].reverse()) {
    // Also an old one, which a script has kept and put back; nothing is known of the page's own title if it is "".
    if (title === text || (its && title.endsWith(text))) return once(title.slice(0, -text.length), its)
  }
  const mark = wanted()
  return ['', mark && title.startsWith(mark) ? title.slice(mark.length) : title]
}

/** What a script has put before the mark anew stood before the page's own title already. */
function once (before, text) {
  return [before, text.startsWith(before) ? text.slice(before.length) : text]
}

function put ([before, text]) {
  const mark = wanted()
  // Browsers leave out white space at the end.
  const marked = (mark + text).trim()
  own = text
  timer = clearTimeout(timer)
  written.delete(marked)
  if (mark) written.set(marked, text)
  if (written.size > KEPT) written.delete(written.keys().next().value)
  if (document.title === before + marked) return
  at = performance.now()
  document.title = before + marked
}

function watch () {
  if (!marks.size) {
    observer?.disconnect()
    observer = null
  } else if (!observer) {
    observer = new MutationObserver(turned)
    observer.observe(document.head, { childList: true, subtree: true, characterData: true })
  }
}

/** The title, or something beside it, has changed. */
function turned () {
  const { title } = document
  const parts = split(title)
  const lost = wanted() && title === parts.join('')
  if (!lost) return put(parts)
  answers = performance.now() - at < ANSWER ? answers + 1 : 0
  undone = title === own ? undone + 1 : 0
  if (!answers && !undone) pauses = 0
  // A script that puts its own mark in place of ours: behind its own it may let ours stand.
  if (answers === 1 && own && title.endsWith(own)) return put([title.slice(0, -own.length), own])
  if (answers > 1 || undone > UNDONE) timer ??= setTimeout(() => put(split()), PAUSE * 2 ** Math.min(pauses++, 9))
  else put(parts)
}
