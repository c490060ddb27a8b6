// One live connection to PNS. It asks POST /subscribe first, because a browser cannot read why a WebSocket
// was refused, and connects again for as long as the answer is not "logged out".

const LONGEST_SECONDS = 20
const OUR_FAULT = [1002, 1003, 1007, 1009]

// `page` is told: state(text), passed(direction, text), and message(object) for each message of PNS.
export function connect (base, page) {
  let socket = null
  let attempts = 0
  let timer = null
  let silence = null
  let heartbeat = 45

  async function open () {
    clearTimeout(timer)
    page.state('connecting')
    page.passed('up', 'POST /subscribe')
    const answer = await fetch(`${base}/subscribe`, { method: 'POST', credentials: 'include' }).catch(() => null)
    if (!answer) return later('no answer')
    page.passed('down', `${answer.status} ${await answer.text().then(brief, () => '')}`)
    if (answer.status === 401 || answer.status === 403) return loggedOut()
    if (!answer.ok) return later(`${answer.status}`, Number(answer.headers.get('retry-after')))
    page.passed('up', 'GET /subscribe, Upgrade: websocket')
    socket = new WebSocket(new URL(`${base}/subscribe`, location.href).href.replace('http', 'ws'), 'pns.v1')
    socket.onmessage = ({ data }) => receive(data)
    socket.onclose = ({ code, reason }) => closed(code, reason)
    listen()
  }

  function brief (text) {
    try {
      const { user_id: user, device_id: device, heartbeat_seconds: seconds, detail } = JSON.parse(text)
      heartbeat = seconds ?? heartbeat
      return detail ?? JSON.stringify({ user_id: user, device_id: device, heartbeat_seconds: seconds })
    } catch {
      return text.slice(0, 200)
    }
  }

  function receive (text) {
    attempts = 0
    listen()
    page.state('live')
    page.passed('down', text)
    page.message(JSON.parse(text))
  }

  // PNS says something every heartbeat; a line that is silent for longer is dead, though nobody closed it.
  function listen () {
    clearTimeout(silence)
    silence = setTimeout(() => {
      socket.onclose = socket.onmessage = null
      socket.close()
      closed(1006, 'silence')
    }, (1.5 * heartbeat + 5) * 1000)
  }

  function closed (code, reason) {
    clearTimeout(silence)
    socket = null
    if (OUR_FAULT.includes(code)) attempts = 10
    page.passed('down', `closed ${code} ${reason}`.trim())
    later(`${code}`)
  }

  // Full jitter, so that a restart of PNS is not met by everybody at once.
  function later (why, atLeast = 0) {
    const seconds = Math.max(atLeast, Math.random() * Math.min(LONGEST_SECONDS, 0.5 * 2 ** attempts++))
    page.state(`away (${why}), again in ${seconds.toFixed(1)} s`)
    timer = setTimeout(open, seconds * 1000)
  }

  function loggedOut () {
    page.state('logged out')
    addEventListener('focus', open, { once: true })
  }

  open()
  return {
    send (message) {
      const text = JSON.stringify(message)
      if (socket?.readyState !== WebSocket.OPEN) return
      page.passed('up', text)
      socket.send(text)
    }
  }
}
