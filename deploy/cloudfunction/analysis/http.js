'use strict'

// Role 3: called over the HTTP access service, where Cloud Calls fail (they need a token that only WeChat's own calls
// carry). Returns a response that the timer stored, to a client that sends the value of the variable EXPORTER_KEY in the
// header x-exporter-key. The address is public, so without the variable every request gets 503.

const { createHash, timingSafeEqual } = require('crypto')
const { APIS, parseRequest } = require('./apis')
const { errorData } = require('./errors')
const { loadContent, rowId } = require('./rows')

function reply(statusCode, content) {
  return {
    isBase64Encoded: false,
    statusCode,
    headers: { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' },
    body: JSON.stringify(content),
  }
}

/** timingSafeEqual requires equal lengths, which digests have. */
function digest(text) {
  return createHash('sha256').update(text).digest()
}

function header(request, name) {
  const found = Object.keys(request.headers || {}).find((key) => key.toLowerCase() === name)
  return found ? String(request.headers[found]) : ''
}

/** Return {api, beginDate, endDate} from a JSON body or from the query; {} if the body is not JSON. */
function requested(request) {
  if (request.httpMethod === 'GET') return request.queryStringParameters || {}
  const body = request.isBase64Encoded ? Buffer.from(request.body || '', 'base64').toString() : request.body
  try {
    return JSON.parse(body) || {}
  } catch {
    return {}
  }
}

async function readStored(request, now, key) {
  if (!key) return reply(503, { errCode: -1, errMsg: 'the variable EXPORTER_KEY of this function is not set' })
  if (!timingSafeEqual(digest(header(request, 'x-exporter-key')), digest(key))) {
    return reply(401, { errCode: -1, errMsg: 'the header x-exporter-key is not the key' })
  }
  if (!['GET', 'POST'].includes(request.httpMethod)) return reply(405, { errCode: -1, errMsg: 'GET and POST only' })
  const { api, dates, error } = parseRequest(requested(request), now)
  if (error) return reply(200, error)
  try {
    const content = await loadContent(APIS.get(api).form, rowId(api, dates.beginDate))
    return reply(200, { ...content, errMsg: `analysis.${api}:ok` })
  } catch (thrown) {
    return reply(200, errorData(thrown))
  }
}

module.exports = { readStored }
