'use strict'

// Read {event, response, now} from standard input and write what the function returns in each role to standard output. The
// exporter's tests parse it.

const { readFileSync } = require('node:fs')
const cloud = require('./cloud')
const { handle } = require('../../deploy/cloudfunction/analysis')

async function respond({ event, response, now }) {
  await cloud.open()
  cloud.respond = () => response
  const request = (key) => ({ httpMethod: 'POST', headers: { 'x-exporter-key': key }, body: event })
  const invoked = await handle(JSON.parse(event), now)
  await handle({ Type: 'Timer', TriggerName: 'reports' }, now)
  const result = {
    invoked,
    stored: await handle(request('k'), now, 'k'),
    'wrong key': await handle(request('other'), now, 'k'),
    'no variable': await handle(request(''), now, ''),
  }
  cloud.close()
  return result
}

respond(JSON.parse(readFileSync(0, 'utf8'))).then((result) => console.log(JSON.stringify(result)))
