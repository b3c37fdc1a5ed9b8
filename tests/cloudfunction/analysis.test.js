'use strict'

const assert = require('node:assert/strict')
const { after, before, beforeEach, test } = require('node:test')
const cloud = require('./cloud')
const { handle, main } = require('../../deploy/cloudfunction/analysis')
const { errorData } = require('../../deploy/cloudfunction/analysis/errors')
const { finishedPeriods, periodError } = require('../../deploy/cloudfunction/analysis/periods')

const beijing = (text) => Date.parse(`${text}+08:00`)
const NOW = beijing('2026-11-24T10:00:00') // a Tuesday
const WEEK = { beginDate: '20261116', endDate: '20261122' }
const DAY = { beginDate: '20261123', endDate: '20261123' }
const MONTH = { beginDate: '20261001', endDate: '20261031' }
const COHORT = { beginDate: '20261109', endDate: '20261115' }
const KEY = 'a-long-random-key'
const TIMER = { Type: 'Timer', TriggerName: 'reports', Time: '2026-11-24T02:00:00Z', Message: '' }
const APIS = require('../../deploy/cloudfunction/analysis/apis').APIS
const [WEEKLY, DAILY, MONTHLY, RETAIN, SOURCES, SUMMARY] = APIS.keys()
/** Each report with its newest period at NOW, that of the response, and the number of periods that are stored. */
const REPORTS = [
  [WEEKLY, WEEK, '20261116-20261122', 9],
  [DAILY, DAY, '20261123', 63],
  [MONTHLY, MONTH, '202610', 13],
  [RETAIN, COHORT, '20261109-20261115', 9],
  [SOURCES, DAY, '20261123', 63],
  [SUMMARY, DAY, '20261123', 63],
]
const ALL = 220

const refDate = (api, begin, end) => {
  const period = APIS.get(api).period
  return { day: begin, month: begin.slice(0, 6), week: `${begin}-${end}` }[period]
}
/** The keys of a cohort when the week of `newest` is the newest finished one: 0 and one for each later week. */
const keys = (begin, newest) => {
  const day = (text) => Date.UTC(text.slice(0, 4), text.slice(4, 6) - 1, text.slice(6)) / 864e5
  const later = Math.min(4, (day(newest) - day(begin)) / 7)
  return Array.from({ length: later + 1 }, (_, key) => ({ key, value: 100 - key }))
}
const wire = (api, begin, end, value = 754, newest = WEEK.beginDate) => {
  const ref_date = refDate(api, begin, end)
  if (api === RETAIN) {
    const [first, ...later] = keys(begin, newest)
    return { ref_date, visit_uv_new: [first, ...later], visit_uv: [{ ...first, value }, ...later] }
  }
  if (api === SOURCES) return { ref_date, list: [{ index: 'access_depth_info', item_list: [{ key: 1, value }] }] }
  if (api === SUMMARY) return { list: [{ ref_date, visit_total: value, share_pv: 29, share_uv: 19 }] }
  return { list: [{ ref_date, session_cnt: 2470, visit_uv: value, stay_time_uv: 226.4748 }] }
}
/** What the function returns for the response of `wire`, without errMsg. */
const camel = (content) => {
  if (Array.isArray(content)) return content.map(camel)
  if (typeof content !== 'object') return content
  const name = (text) => text.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
  return Object.fromEntries(Object.entries(content).map(([key, value]) => [name(key), camel(value)]))
}
const returned = (api, { beginDate, endDate }, ...more) => camel(wire(api, beginDate, endDate, ...more))
const EMPTY = { list: [] }
const NOT_READY = { errcode: 61503, errmsg: 'data not ready, please try later' }
const QUOTA = { errcode: 45009, errmsg: 'reach max api daily quota limit' }
const called = (api) => cloud.calls.filter((call) => call.startsWith(`${api} `)).map((call) => call.split(' ')[1])

/** What a run of the timer at NOW stores. A run takes 0.3 s, so tests of the reading copy the result of one. */
let history
const fill = () => history.forEach((content, id) => cloud.rows.set(id, content))

before(async () => {
  await cloud.open()
  cloud.respond = wire
  await handle(TIMER, NOW)
  history = new Map(cloud.rows)
})
after(cloud.close)
beforeEach(() => {
  cloud.reset()
  cloud.respond = wire
})

// Role 1: called through the API.

for (const [api, dates] of REPORTS) {
  test(`${api} returns its response with the names of a Cloud Call`, async () => {
    const errMsg = `openapi.analysis.${api}:ok`
    assert.deepEqual(await handle({ api, ...dates }, NOW), { ...returned(api, dates), errMsg })
    assert.deepEqual(cloud.calls, [`${api} ${dates.beginDate}-${dates.endDate}`])
    assert.equal(cloud.queries, 0)
  })

  test(`${api} returns an empty list before publication`, async () => {
    cloud.respond = () => ({ list: [] })
    assert.deepEqual(await handle({ api, ...dates }, NOW), { list: [], errMsg: `openapi.analysis.${api}:ok` })
  })

  test(`${api} refuses the periods of the other kinds`, async () => {
    const { period } = APIS.get(api)
    for (const [other, otherDates] of REPORTS) {
      const { errCode } = await handle({ api, ...otherDates }, NOW)
      assert.equal(errCode, APIS.get(other).period === period ? undefined : 61501)
    }
    assert.equal(cloud.calls.length, REPORTS.filter(([other]) => APIS.get(other).period === period).length)
  })
}

test('an event without api means getWeeklyVisitTrend', async () => {
  assert.deepEqual(await handle({ ...WEEK, userInfo: { appId: 'wx0' } }, NOW), {
    ...returned(WEEKLY, WEEK),
    errMsg: 'openapi.analysis.getWeeklyVisitTrend:ok',
  })
})

const UNKNOWN = [
  'getUserPortrait',
  'getweeklyvisittrend',
  'analysis.getDailyVisitTrend',
  '',
  'constructor',
  '__proto__',
  null,
  1,
  [WEEKLY],
  {},
]
for (const api of UNKNOWN) {
  test(`api ${JSON.stringify(api)} is unknown, and WeChat is not called`, async () => {
    const { errCode, errMsg, ...rest } = await handle({ api, ...WEEK }, NOW)
    assert.equal(errCode, -504002)
    assert.match(errMsg, /^unknown api: .*getWeeklyVisitTrend, getDailyVisitTrend/)
    assert.deepEqual([rest, cloud.calls], [{}, []])
  })
}

const INVALID = [
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
  [{ api: DAILY, beginDate: '20261122', endDate: '20261123' }, 61501],
  [{ api: DAILY, beginDate: '20261123', endDate: '20261122' }, 61501],
  [{ api: DAILY, beginDate: '20261124', endDate: '20261124' }, 61501],
  [{ api: DAILY, beginDate: '20260229', endDate: '20260229' }, 61500],
  [{ api: MONTHLY, beginDate: '20261001', endDate: '20261030' }, 61501],
  [{ api: MONTHLY, beginDate: '20261002', endDate: '20261031' }, 61501],
  [{ api: MONTHLY, beginDate: '20260901', endDate: '20261031' }, 61501],
  [{ api: MONTHLY, beginDate: '20261101', endDate: '20261130' }, 61501],
  [{ api: MONTHLY, beginDate: '20260201', endDate: '20260229' }, 61500],
]
for (const [event, errCode] of INVALID) {
  test(`${JSON.stringify(event)} is ${errCode}, and WeChat is not called`, async () => {
    const returned = await handle(event, NOW)
    assert.equal(returned.errCode, errCode)
    assert.match(returned.errMsg, /error: /)
    assert.deepEqual(cloud.calls, [])
  })
}

const ENDS = [
  ['day', '20261123', '20261123', '2026-11-24'],
  ['week', '20261116', '20261122', '2026-11-23'],
  ['week', '20261228', '20270103', '2027-01-04'],
  ['month', '20261001', '20261031', '2026-11-01'],
  ['month', '20270201', '20270228', '2027-03-01'],
  ['month', '20280201', '20280229', '2028-03-01'],
  ['day', '20280229', '20280229', '2028-03-01'],
  ['month', '20261201', '20261231', '2027-01-01'],
  ['day', '20261231', '20261231', '2027-01-01'],
]
for (const [kind, beginDate, endDate, midnight] of ENDS) {
  test(`the ${kind} ${beginDate}-${endDate} is over at midnight in Beijing, not before`, () => {
    const turn = beijing(`${midnight}T00:00:00`)
    assert.equal(periodError(kind, { beginDate, endDate }, turn - 1).errCode, 61501)
    assert.equal(periodError(kind, { beginDate, endDate }, turn), null)
    assert.deepEqual(finishedPeriods(kind, turn, 1), [{ beginDate, endDate }])
    assert.notDeepEqual(finishedPeriods(kind, turn - 1, 1), [{ beginDate, endDate }])
  })
}

test('February has 28 or 29 days, also in years that end with 00', () => {
  const now = beijing('2101-01-01T00:00:00')
  const accepted = (endDate) => periodError('month', { beginDate: `${endDate.slice(0, 6)}01`, endDate }, now)
  for (const end of ['20270228', '20280229', '20000229', '21000228']) assert.equal(accepted(end), null)
  assert.equal(accepted('20280228').errCode, 61501)
  assert.equal(accepted('21000229').errCode, 61500)
})

test('an error of WeChat is returned as data', async () => {
  cloud.respond = () => NOT_READY
  for (const [api, dates] of REPORTS) {
    const returned = await handle({ api, ...dates }, NOW)
    assert.equal(returned.errCode, 61503)
    assert.match(returned.errMsg, /data not ready/)
    assert.deepEqual(Object.keys(returned), ['errCode', 'errMsg'])
  }
})

test('a missing permission keeps its code', async () => {
  cloud.respond = () => -604101
  assert.equal((await handle({ api: DAILY, ...DAY }, NOW)).errCode, -604101)
})

test('an error of the cloud is returned as data', async () => {
  cloud.broken = { code: 'SYS_ERR', message: 'resource system error' }
  const returned = await handle(WEEK, NOW)
  assert.ok(returned.errCode < -500000)
  assert.deepEqual(Object.keys(returned), ['errCode', 'errMsg'])
})

test('calls from the Mini Program are refused', async (t) => {
  t.after(() => delete process.env.TCB_SOURCE)
  for (const source of ['wx_client', 'wx_client,scf']) {
    process.env.TCB_SOURCE = source
    for (const event of [WEEK, { api: DAILY, ...DAY }, TIMER]) {
      assert.equal((await handle(event, NOW, KEY)).errCode, -504002)
    }
    assert.equal((await handle(post(WEEK, { headers: {} }), NOW, KEY)).statusCode, 401)
  }
  assert.deepEqual([cloud.calls, cloud.queries], [[], 0])
})

test('an error without a code of WeChat is never "WeChat is busy"', () => {
  for (const error of [new Error('missing wxCloudApiToken'), 'text', null, { errCode: 0 }, { errCode: 'x' }]) {
    assert.equal(errorData(error).errCode, -504002)
  }
  assert.equal(errorData({ errCode: '-604101', errMsg: 'no permission' }).errCode, -604101)
  assert.equal(errorData({ errCode: -1 }).errCode, -1)
})

// Role 2: run by the timer.

test('the timer stores the history of each report, then fetches the newest periods only', async () => {
  const first = await handle(TIMER, NOW)
  assert.deepEqual(Object.keys(first), [...APIS.keys()])
  for (const [api, { beginDate }, ref, count] of REPORTS) {
    assert.deepEqual(Object.keys(first[api]), ['saved'])
    assert.equal(first[api].saved.length, count)
    assert.equal(first[api].saved[0], `${api}-${beginDate}`)
    assert.equal(called(api).length, count)
    const content = cloud.rows.get(`${api}-${beginDate}`)
    assert.equal(content.refDate, ref)
    assert.deepEqual([content.errCode, content.errMsg], [undefined, undefined])
  }
  assert.deepEqual(called(WEEKLY).slice(0, 2), ['20261116-20261122', '20261109-20261115'])
  assert.equal(called(WEEKLY)[8], '20260921-20260927')
  assert.deepEqual([called(DAILY)[1], called(DAILY)[62]], ['20261122-20261122', '20260922-20260922'])
  assert.deepEqual([called(MONTHLY)[8], called(MONTHLY)[12]], ['20260201-20260228', '20251001-20251031'])
  assert.deepEqual([called(RETAIN)[0], called(RETAIN)[8]], ['20261109-20261115', '20260914-20260920'])
  assert.equal(cloud.rows.size, ALL)
  assert.deepEqual([...cloud.collections], ['analysis'])

  cloud.calls.length = cloud.queries = 0
  const again = REPORTS.map(([api, { beginDate }]) => [api, { saved: [`${api}-${beginDate}`] }])
  assert.deepEqual(await handle(TIMER, NOW), Object.fromEntries(again))
  assert.equal(cloud.calls.length, 6)
  assert.equal(cloud.queries, 6)
})

for (const [now, week, day, month] of [
  ['2027-01-01T10:05:00', '20261221-20261227', '20261231-20261231', '20261201-20261231'],
  ['2027-03-01T10:05:00', '20270222-20270228', '20270228-20270228', '20270201-20270228'],
  ['2028-03-01T10:05:00', '20280221-20280227', '20280229-20280229', '20280201-20280229'],
]) {
  test(`the timer takes the right newest periods at ${now}`, async () => {
    await handle(TIMER, beijing(now))
    assert.deepEqual([called(WEEKLY)[0], called(DAILY)[0], called(MONTHLY)[0]], [week, day, month])
  })
}

const newest = (api, begin) => REPORTS.some(([name, dates]) => name === api && dates.beginDate === begin)
const late = (response) => (api, begin, end) => (newest(api, begin) ? response : wire(api, begin, end))

for (const [errcode, errmsg] of [
  [61503, 'data not ready, please try later'],
  [61501, 'date range error'],
  [61504, 'system busy now , please try later'],
  [-1, 'system error'],
]) {
  test(`${errcode} for the newest period does not stop earlier ones`, async () => {
    cloud.respond = late({ errcode, errmsg })
    const result = await handle(TIMER, NOW)
    for (const [api, { beginDate }, , count] of REPORTS) {
      assert.deepEqual([result[api].saved.length, result[api].errCode], [count - 1, errcode])
      assert.match(result[api].errMsg, new RegExp(errmsg))
      assert.ok(!cloud.rows.has(`${api}-${beginDate}`))
    }
  })
}

test('a period that is published late is stored by a later run', async () => {
  cloud.respond = late({ list: [] })
  const first = await handle(TIMER, NOW)
  for (const [api, dates, , count] of REPORTS) {
    assert.equal(first[api].saved.length, count - 1)
    assert.deepEqual(content(await handle(post({ api, ...dates }), NOW, KEY)), EMPTY)
  }
  cloud.calls.length = 0
  cloud.respond = wire
  const second = await handle(TIMER, NOW + 3600e3)
  for (const [api, dates] of REPORTS) {
    assert.deepEqual(second[api], { saved: [`${api}-${dates.beginDate}`] })
    assert.deepEqual(called(api), [`${dates.beginDate}-${dates.endDate}`])
    assert.deepEqual(content(await handle(post({ api, ...dates }), NOW, KEY)), returned(api, dates))
  }
})

for (const [api, { beginDate }] of REPORTS) {
  test(`${api}: a spent quota ends its run and is its result, but the others continue`, async () => {
    fill()
    for (const id of cloud.rows.keys()) if (id.startsWith(`${api}-`)) cloud.rows.delete(id)
    const own = (begin) => (begin === beginDate ? NOT_READY : QUOTA)
    cloud.respond = (name, begin, end) => (name === api ? own(begin) : wire(name, begin, end))
    const result = await handle(TIMER, NOW)
    assert.deepEqual([result[api].saved, result[api].errCode], [[], 45009])
    assert.equal(called(api).length, 2)
    for (const [other] of REPORTS) if (other !== api) assert.equal(result[other].saved.length, 1)
  })
}

test('a revised period replaces the stored one', async () => {
  fill()
  cloud.respond = (api, begin, end) => wire(api, begin, end, 800)
  await handle(TIMER, NOW)
  for (const [api, dates] of REPORTS) {
    assert.deepEqual(content(await handle(post({ api, ...dates }), NOW, KEY)), returned(api, dates, 800))
  }
})

test('a stored period survives an empty list', async () => {
  fill()
  cloud.respond = () => ({ list: [] })
  assert.deepEqual(Object.values(await handle(TIMER, NOW)), Array(6).fill({ saved: [] }))
  for (const [api, dates] of REPORTS) {
    assert.deepEqual(content(await handle(post({ api, ...dates }), NOW, KEY)), returned(api, dates))
  }
})

test('periods before the app existed are requested once', async () => {
  for (const response of [{ list: [] }, NOT_READY, { errcode: 61501, errmsg: 'date range error' }]) {
    cloud.reset()
    cloud.respond = () => response
    await handle(TIMER, NOW)
    assert.equal(cloud.calls.length, ALL)
    const old = post({ api: DAILY, beginDate: '20261001', endDate: '20261001' })
    assert.deepEqual(content(await handle(old, NOW, KEY)), EMPTY)
    cloud.calls.length = 0
    await handle(TIMER, NOW)
    const unsettled = Array.from({ length: 7 }, (_, days) => `202611${23 - days}-202611${23 - days}`)
    assert.deepEqual([called(WEEKLY), called(DAILY)], [['20261116-20261122'], unsettled])
    assert.deepEqual([called(SOURCES), called(SUMMARY)], [unsettled, unsettled])
    assert.deepEqual(called(MONTHLY), ['20261001-20261031'])
    const cohorts = ['20261109-20261115', '20261102-20261108', '20261026-20261101', '20261019-20261025']
    assert.deepEqual(called(RETAIN), cohorts, 'each of them gained a key less than a week ago')
  }
})

test('earlier periods that will never have data are no error', async () => {
  cloud.respond = (api, begin, end) => (newest(api, begin) ? wire(api, begin, end) : NOT_READY)
  const result = await handle(TIMER, NOW)
  assert.deepEqual(result[WEEKLY], { saved: [`${WEEKLY}-20261116`] })
  assert.deepEqual(result[MONTHLY], { saved: [`${MONTHLY}-20261001`] })
  for (const api of [DAILY, SOURCES, SUMMARY, RETAIN]) {
    assert.equal(result[api].errCode, 61503, 'days and cohorts of the last week may still be published')
  }
})

test('a busy WeChat never makes the timer give up a period', async () => {
  for (const errcode of [-1, 61504]) {
    cloud.reset()
    cloud.respond = () => ({ errcode, errmsg: 'system busy' })
    const result = await handle(TIMER, NOW)
    assert.deepEqual([cloud.rows.size, result[DAILY].errCode], [0, errcode])
  }
})

test('four cohorts gain a key each week and replace the stored ones', async () => {
  fill()
  const monday = WEEK.beginDate.replace('16', '23')
  cloud.respond = (api, begin, end) => wire(api, begin, end, 754, monday)
  const { saved } = (await handle(TIMER, NOW + 7 * 864e5))[RETAIN]
  const cohorts = ['20261116', '20261109', '20261102', '20261026']
  assert.deepEqual(saved, cohorts.map((begin) => `${RETAIN}-${begin}`))
  assert.equal(called(RETAIN).length, 4)
  for (const [place, begin] of cohorts.entries()) {
    assert.equal(cloud.rows.get(`${RETAIN}-${begin}`).visitUvNew.length, place + 2)
  }
})

test('a cohort without the wanted key is stored, and requested until a week is over', async () => {
  const OLD = '20261026-20261101'
  const incomplete = (api, begin, end) => (`${begin}-${end}` === OLD && api === RETAIN ? EARLIER : wire(api, begin, end))
  const EARLIER = wire(RETAIN, '20261026', '20261101', 754, '20261109')
  cloud.respond = incomplete
  await handle(TIMER, NOW)
  const old = { api: RETAIN, beginDate: '20261026', endDate: '20261101' }
  assert.deepEqual(content(await handle(post(old), NOW, KEY)), camel(EARLIER))
  cloud.calls.length = 0
  await handle(TIMER, NOW + 3600e3)
  assert.deepEqual(called(RETAIN), ['20261109-20261115', OLD])
  cloud.calls.length = 0
  await handle(TIMER, NOW + 21 * 864e5)
  assert.ok(!called(RETAIN).includes(OLD), 'its last key is more than a week overdue')
})

test('a cohort is requested until both of its figures have the wanted key', async () => {
  const OLD = '20261026-20261101'
  const whole = wire(RETAIN, ...OLD.split('-'))
  for (const [newVisitors, isMissing] of [[whole.visit_uv_new.slice(0, -1), true], [[{ key: 0, value: 0 }], false]]) {
    cloud.reset()
    const content = { ...whole, visit_uv_new: newVisitors }
    cloud.respond = (api, begin, end) => (`${begin}-${end}` === OLD && api === RETAIN ? content : wire(api, begin, end))
    await handle(TIMER, NOW)
    cloud.calls.length = 0
    await handle(TIMER, NOW + 3600e3)
    assert.equal(called(RETAIN).includes(OLD), isMissing)
  }
})

test('a shorter or empty cohort never replaces the stored one', async () => {
  fill()
  for (const response of [wire(RETAIN, '20261109', '20261115', 800, '20261109'), { list: [] }, NOT_READY]) {
    cloud.respond = (api, begin, end) => (api === RETAIN && begin === '20261109' ? response : wire(api, begin, end))
    assert.deepEqual((await handle(TIMER, NOW))[RETAIN].saved, [])
    assert.deepEqual(content(await handle(post({ api: RETAIN, ...COHORT }), NOW, KEY)), returned(RETAIN, COHORT))
  }
})

test('a cohort of zeros counts as not published', async () => {
  const zeros = [{ key: 0, value: 0 }, { key: 1, value: 0 }]
  const ref_date = '20261109-20261115'
  cloud.respond = late({ ref_date, visit_uv_new: zeros, visit_uv: zeros })
  await handle(TIMER, NOW)
  assert.ok(!cloud.rows.has(`${RETAIN}-20261109`))
  assert.deepEqual(content(await handle(post({ api: RETAIN, ...COHORT }), NOW, KEY)), EMPTY)
})

test('an error of the cloud is the result of each report', async () => {
  cloud.broken = { code: 'SYS_ERR', message: 'resource system error' }
  for (const { saved, errCode } of Object.values(await handle(TIMER, NOW))) {
    assert.deepEqual(saved, [])
    assert.ok(errCode < -500000)
  }
})

test('a timer event of any trigger name is one of the timer', async () => {
  await handle({ Type: 'Timer', TriggerName: 'another', userInfo: { appId: 'wx0' } }, NOW)
  assert.equal(cloud.calls.length, ALL)
})

// Role 3: called over the HTTP access service.

function post(content, more = {}) {
  return {
    path: '/analysis',
    httpMethod: 'POST',
    headers: { 'X-Exporter-Key': KEY },
    queryStringParameters: {},
    requestContext: { requestId: 'r', envId: 'prod-1' },
    body: JSON.stringify(content),
    isBase64Encoded: false,
    ...more,
  }
}
const list = (response) => JSON.parse(response.body).list
const content = (response) => {
  const { errMsg: _, ...rest } = JSON.parse(response.body)
  return rest
}

for (const [api, dates] of REPORTS) {
  test(`${api}: the stored response is read, without its id and without a call of WeChat`, async () => {
    fill()
    const response = await handle(post({ api, ...dates }), NOW, KEY)
    assert.equal(response.statusCode, 200)
    assert.deepEqual(JSON.parse(response.body), { ...returned(api, dates), errMsg: `analysis.${api}:ok` })
    assert.match(response.headers['content-type'], /^application\/json/)
    assert.deepEqual(cloud.calls, [])
  })

  test(`${api}: a query and a body in base64 are read, too`, async () => {
    fill()
    const request = { api, ...dates }
    const get = post(null, { httpMethod: 'GET', body: '', queryStringParameters: request })
    const coded = post(null, { body: Buffer.from(JSON.stringify(request)).toString('base64'), isBase64Encoded: true })
    for (const request of [get, coded]) assert.deepEqual(content(await handle(request, NOW, KEY)), returned(api, dates))
  })

  test(`${api}: a period that was never stored is an empty list`, async () => {
    assert.deepEqual(content(await handle(post({ api, ...dates }), NOW, KEY)), EMPTY)
  })
}

test('periods with the same first day are stored apart', async () => {
  const now = beijing('2027-02-09T10:05:00')
  await handle(TIMER, now)
  for (const [api, endDate] of [
    [WEEKLY, '20270207'],
    [DAILY, '20270201'],
    [SOURCES, '20270201'],
  ]) {
    const dates = { beginDate: '20270201', endDate }
    assert.deepEqual(content(await handle(post({ api, ...dates }), now, KEY)), returned(api, dates))
  }
})

test('a body without api means getWeeklyVisitTrend', async () => {
  fill()
  assert.deepEqual(content(await handle(post(WEEK), NOW, KEY)), returned(WEEKLY, WEEK))
})

test('a body cannot take another role', async () => {
  for (const content of [TIMER, { ...TIMER, api: DAILY, ...DAY }]) {
    const response = await handle(post(content), NOW, KEY)
    assert.equal(response.statusCode, 200)
  }
  assert.deepEqual([cloud.calls, cloud.rows.size], [[], 0])
})

const CLOSED = [
  ['a wrong key', post(WEEK, { headers: { 'x-exporter-key': 'another' } }), KEY, 401],
  ['no key', post(WEEK, { headers: {} }), KEY, 401],
  ['no headers', post(WEEK, { headers: undefined }), KEY, 401],
  ['a function without its variable', post(WEEK), undefined, 503],
  ['an empty variable', post(WEEK, { headers: { 'x-exporter-key': '' } }), '', 503],
  ['another method', post(WEEK, { httpMethod: 'DELETE' }), KEY, 405],
  ['an empty method', post(WEEK, { httpMethod: '' }), KEY, 405],
]
for (const [name, request, key, status] of CLOSED) {
  test(`the status is ${status} for ${name}`, async () => {
    fill()
    cloud.queries = 0
    const response = await handle(request, NOW, key)
    assert.equal(response.statusCode, status)
    assert.equal(list(response), undefined)
    assert.equal(cloud.queries, 0)
  })
}

test('an invalid period or body is an error with status 200', async () => {
  for (const body of [
    '{',
    'null',
    '[]',
    undefined,
    '{"beginDate":"20261117","endDate":"20261123"}',
    '{"api":"getMonthlyVisitTrend","beginDate":"20261101","endDate":"20261130"}',
  ]) {
    const response = await handle(post({}, { body }), NOW, KEY)
    assert.equal(response.statusCode, 200)
    assert.match(JSON.parse(response.body).errMsg, /error: /)
  }
})

test('an unknown api is an error with status 200', async () => {
  const response = await handle(post({ api: 'getUserPortrait', ...DAY }), NOW, KEY)
  const { errCode, errMsg, ...rest } = JSON.parse(response.body)
  assert.deepEqual([response.statusCode, errCode, rest], [200, -504002, {}])
  assert.match(errMsg, /^unknown api: /)
  assert.deepEqual([cloud.calls, cloud.queries], [[], 0])
})

test('an error of the database is returned as data', async () => {
  cloud.broken = { code: 'SYS_ERR', message: 'resource system error' }
  const response = await handle(post(WEEK), NOW, KEY)
  assert.equal(response.statusCode, 200)
  assert.ok(JSON.parse(response.body).errCode < -500000)
})

test('main uses the clock and the variable EXPORTER_KEY', async (t) => {
  t.after(() => delete process.env.EXPORTER_KEY)
  const old = { beginDate: '20200106', endDate: '20200112' }
  assert.equal((await main(old)).list[0].refDate, '20200106-20200112')
  assert.equal((await main({ beginDate: '29990107', endDate: '29990113' })).errCode, 61501)
  assert.equal((await main(post(old))).statusCode, 503)
  process.env.EXPORTER_KEY = KEY
  assert.deepEqual(list(await main(post(old))), [])
  assert.deepEqual(Object.keys(await main(TIMER)), [...APIS.keys()])
})
