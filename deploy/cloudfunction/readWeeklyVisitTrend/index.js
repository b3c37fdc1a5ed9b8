'use strict'

// Answers over the HTTP access service, where Cloud Calls do not work: hands out a week that keepWeeklyVisitTrend kept, to
// whoever sends the key of the variable EXPORTER_KEY in the header x-exporter-key.

const { createHash, timingSafeEqual } = require('crypto')
const cloud = require('wx-server-sdk')
const { asData, mistake } = require('./week')

const COLLECTION = 'weekly_visit_trend'

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

function reply(statusCode, content) {
  return {
    isBase64Encoded: false,
    statusCode,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    body: JSON.stringify(content),
  }
}

function digest(text) {
  return createHash('sha256').update(text).digest()
}

function header(request, name) {
  const found = Object.keys(request.headers || {}).find((key) => key.toLowerCase() === name)
  return found ? String(request.headers[found]) : ''
}

/** The dates from a JSON body or from the query; {} where there are none. */
function dates(request) {
  if (request.httpMethod === 'GET') return request.queryStringParameters || {}
  const body = request.isBase64Encoded ? Buffer.from(request.body || '', 'base64').toString() : request.body
  try {
    return JSON.parse(body) || {}
  } catch {
    return {}
  }
}

async function answer(request, now, key) {
  if (!key) return reply(503, { errCode: -1, errMsg: 'the variable EXPORTER_KEY of this function is not set' })
  if (!timingSafeEqual(digest(header(request, 'x-exporter-key')), digest(key))) {
    return reply(401, { errCode: -1, errMsg: 'the header x-exporter-key is not the key' })
  }
  if (!['GET', 'POST'].includes(request.httpMethod)) return reply(405, { errCode: -1, errMsg: 'GET and POST only' })
  const { beginDate, endDate } = dates(request)
  const wrong = mistake({ beginDate, endDate }, now)
  if (wrong) return reply(200, wrong)
  try {
    const rows = cloud.database().collection(COLLECTION)
    const { data } = await rows.where({ _id: `${beginDate}-${endDate}` }).get()
    const list = data.map(({ _id, ...row }) => row)
    return reply(200, { list, errMsg: 'readWeeklyVisitTrend:ok' })
  } catch (error) {
    return reply(200, asData(error))
  }
}

exports.answer = answer
exports.main = (request) => answer(request, Date.now(), process.env.EXPORTER_KEY)
