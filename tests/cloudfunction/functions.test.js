'use strict'

const assert = require('node:assert/strict')
const { after, before, beforeEach, test } = require('node:test')
const door = require('./door')
const { answer: trend } = require('../../deploy/cloudfunction/weeklyVisitTrend')
const { keep } = require('../../deploy/cloudfunction/keepWeeklyVisitTrend')
const { answer: read } = require('../../deploy/cloudfunction/readWeeklyVisitTrend')

const NOW = Date.parse('2026-11-24T10:00:00+08:00') // a Tuesday
const WEEK = { beginDate: '20261116', endDate: '20261122' }
const KEY = 'a-long-random-key'

const wire = (begin_date, end_date, visit_uv = 754) => ({
  list: [{ ref_date: `${begin_date}-${end_date}`, session_cnt: 2470, visit_uv, stay_time_uv: 226.4748 }],
})
const row = (visitUv = 754) => ({ refDate: '20261116-20261122', sessionCnt: 2470, visitUv, stayTimeUv: 226.4748 })

before(door.open)
after(door.close)
beforeEach(() => {
  door.reset()
  door.answer = wire
})

test('a week is asked for and its row comes back with the names of a Cloud Call', async () => {
  assert.deepEqual(await trend(WEEK, NOW), { list: [row()], errMsg: 'openapi.analysis.getWeeklyVisitTrend:ok' })
  assert.deepEqual(door.asked, ['20261116-20261122'])
})

test('a week that is not published yet is an empty list', async () => {
  door.answer = () => ({ list: [] })
  assert.deepEqual((await trend(WEEK, NOW)).list, [])
})

const WRONG = [
  [{}, 61500],
  [undefined, 61500],
  [{ beginDate: '2026-11-16', endDate: '2026-11-22' }, 61500],
  [{ beginDate: '20261131', endDate: '20261206' }, 61500],
  [{ beginDate: 20261116, endDate: 20261122 }, 61500],
  [{ beginDate: ['20261116'], endDate: ['20261122'] }, 61500],
  [{ beginDate: '20261116', endDate: null }, 61500],
  [{ beginDate: '20261117', endDate: '20261123' }, 61501],
  [{ beginDate: '20261116', endDate: '20261121' }, 61501],
  [{ beginDate: '20261109', endDate: '20261122' }, 61501],
  [{ beginDate: '20261123', endDate: '20261129' }, 61501],
]
for (const [event, errCode] of WRONG) {
  test(`${JSON.stringify(event)} is ${errCode}, and WeChat is not asked`, async () => {
    const said = await trend(event, NOW)
    assert.equal(said.errCode, errCode)
    assert.match(said.errMsg, /error: /)
    assert.deepEqual(door.asked, [])
  })
}

test('a week is over at midnight in Beijing, not before', async () => {
  const turn = Date.parse('2026-11-23T00:00:00+08:00')
  assert.equal((await trend(WEEK, turn - 1)).errCode, 61501)
  assert.equal((await trend(WEEK, turn)).errCode, undefined)
})

test('what WeChat says is an error as data', async () => {
  door.answer = () => ({ errcode: 61503, errmsg: 'data not ready, please try later' })
  const said = await trend(WEEK, NOW)
  assert.equal(said.errCode, 61503)
  assert.match(said.errMsg, /data not ready/)
  assert.deepEqual(Object.keys(said), ['errCode', 'errMsg'])
})

test('a missing permission keeps its code', async () => {
  door.answer = () => -604101
  assert.equal((await trend(WEEK, NOW)).errCode, -604101)
})

test('a broken cloud is an error as data, too', async () => {
  door.broken = { code: 'SYS_ERR', message: 'resource system error' }
  const said = await trend(WEEK, NOW)
  assert.ok(said.errCode < -500000)
  assert.deepEqual(Object.keys(said), ['errCode', 'errMsg'])
})

test('nobody calls them from within the Mini Program', async () => {
  process.env.TCB_SOURCE = 'wx_client'
  const said = [await trend(WEEK, NOW), await keep(NOW)]
  delete process.env.TCB_SOURCE
  assert.deepEqual(said.map(({ errCode }) => errCode), [-504002, -504002])
  assert.deepEqual(door.asked, [])
})

test('an error without a code of WeChat is one of the cloud, never WeChat being busy', () => {
  const { asData } = require('../../deploy/cloudfunction/weeklyVisitTrend/week')
  for (const error of [new Error('missing wxCloudApiToken'), 'text', null, { errCode: 0 }, { errCode: 'x' }]) {
    assert.equal(asData(error).errCode, -504002)
  }
  assert.equal(asData({ errCode: '-604101', errMsg: 'no permission' }).errCode, -604101)
  assert.equal(asData({ errCode: -1 }).errCode, -1)
})

test('a newest week that is not there yet does not keep older ones away', async () => {
  door.answer = (begin, end) => (begin === '20261116' ? { errcode: 61503, errmsg: 'data not ready' } : wire(begin, end))
  const said = await keep(NOW)
  assert.deepEqual([said.kept.length, said.errCode], [7, 61503])
})

test('a spent quota ends the run and is what it says, whatever it met before', async () => {
  const spent = { errcode: 45009, errmsg: 'reach max api daily quota limit' }
  door.answer = (begin) => (begin === '20261116' ? { errcode: 61503, errmsg: 'data not ready' } : spent)
  const said = await keep(NOW)
  assert.deepEqual([said.kept, said.errCode], [[], 45009])
  assert.deepEqual(door.asked, ['20261116-20261122', '20261109-20261115'])
})

test('the timer keeps the last eight weeks, and after that asks for the newest alone', async () => {
  const first = await keep(NOW)
  assert.equal(first.kept.length, 8)
  assert.equal(first.kept[0], '20261116-20261122')
  assert.equal(first.kept[7], '20260928-20261004')
  door.asked.length = 0
  assert.deepEqual(await keep(NOW), { kept: ['20261116-20261122'] })
  assert.deepEqual(door.asked, ['20261116-20261122'])
})

test('a revised week replaces the one that was kept', async () => {
  await keep(NOW)
  door.answer = (begin, end) => wire(begin, end, 800)
  await keep(NOW)
  assert.equal(door.rows.get('20261116-20261122').visitUv.$numberInt, '800')
})

test('a week that is not there is not kept and an error ends the run as data', async () => {
  door.answer = () => ({ list: [] })
  assert.deepEqual(await keep(NOW), { kept: [] })
  door.answer = () => ({ errcode: 45009, errmsg: 'reach max api daily quota limit' })
  const said = await keep(NOW)
  assert.deepEqual([said.kept, said.errCode], [[], 45009])
})

const post = (content, more = {}) => ({
  httpMethod: 'POST',
  headers: { 'X-Exporter-Key': KEY },
  body: JSON.stringify(content),
  isBase64Encoded: false,
  ...more,
})

test('the reader hands out what was kept, without its id', async () => {
  await keep(NOW)
  const said = await read(post(WEEK), NOW, KEY)
  assert.equal(said.statusCode, 200)
  assert.deepEqual(JSON.parse(said.body), { list: [row()], errMsg: 'readWeeklyVisitTrend:ok' })
  assert.match(said.headers['content-type'], /^application\/json/)
})

test('the reader takes the week from a query and from a body in base64, too', async () => {
  await keep(NOW)
  const get = { httpMethod: 'GET', headers: { 'x-exporter-key': KEY }, queryStringParameters: WEEK }
  const coded = post(WEEK, { body: Buffer.from(JSON.stringify(WEEK)).toString('base64'), isBase64Encoded: true })
  for (const request of [get, coded]) assert.equal(JSON.parse((await read(request, NOW, KEY)).body).list.length, 1)
})

test('a week that was never kept is an empty list', async () => {
  assert.deepEqual(JSON.parse((await read(post(WEEK), NOW, KEY)).body).list, [])
})

const CLOSED = [
  ['a wrong key', post(WEEK, { headers: { 'x-exporter-key': 'another' } }), KEY, 401],
  ['no key', post(WEEK, { headers: {} }), KEY, 401],
  ['no headers', post(WEEK, { headers: undefined }), KEY, 401],
  ['a function without its variable', post(WEEK), undefined, 503],
  ['an empty variable', post(WEEK, { headers: { 'x-exporter-key': '' } }), '', 503],
  ['another method', post(WEEK, { httpMethod: 'DELETE' }), KEY, 405],
]
for (const [name, request, key, status] of CLOSED) {
  test(`the reader answers ${status} to ${name}`, async () => {
    await keep(NOW)
    const said = await read(request, NOW, key)
    assert.equal(said.statusCode, status)
    assert.equal(JSON.parse(said.body).list, undefined)
  })
}

test('the reader says what is wrong with a week or a body', async () => {
  for (const body of ['{', 'null', '[]', '{"beginDate":"20261117","endDate":"20261123"}']) {
    assert.match(JSON.parse((await read(post({}, { body }), NOW, KEY)).body).errMsg, /error: /)
  }
})
