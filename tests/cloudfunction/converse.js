'use strict'

// What the functions answer to an event and a row of WeChat's, both from standard input: the exporter's tests read it.

const { readFileSync } = require('node:fs')
const door = require('./door')
const { answer: trend } = require('../../deploy/cloudfunction/weeklyVisitTrend')
const { keep } = require('../../deploy/cloudfunction/keepWeeklyVisitTrend')
const { answer: read } = require('../../deploy/cloudfunction/readWeeklyVisitTrend')

async function converse({ event, row, now }) {
  await door.open()
  door.answer = () => ({ list: [row] })
  const request = (key) => ({ httpMethod: 'POST', headers: { 'x-exporter-key': key }, body: event })
  const invoked = await trend(JSON.parse(event), now)
  await keep(now)
  const said = {
    invoked,
    kept: await read(request('k'), now, 'k'),
    'a wrong key': await read(request('other'), now, 'k'),
    'no variable': await read(request(''), now, ''),
  }
  door.close()
  return said
}

converse(JSON.parse(readFileSync(0, 'utf8'))).then((said) => console.log(JSON.stringify(said)))
