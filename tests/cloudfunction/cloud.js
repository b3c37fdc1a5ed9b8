'use strict'

// A server in place of WeChat's cloud. Every request of the real wx-server-sdk is redirected to it, and it responds in
// the cloud's formats: protobuf for an open API, JSON for the database.

const http = require('node:http')
const { Writer } = require('protobufjs/minimal')

process.env.TCB_ENV = process.env.SCF_NAMESPACE = 'prod-1'
process.env.TENCENTCLOUD_RUNENV = 'SCF'
process.env.TENCENTCLOUD_REGION = 'ap-shanghai'
process.env.TENCENTCLOUD_SECRETID = process.env.TENCENTCLOUD_SECRETKEY = 'simulated'
process.env.TENCENTCLOUD_SESSIONTOKEN = 'simulated'
process.env.WX_CONTEXT_KEYS = 'WX_API_TOKEN'
process.env.WX_API_TOKEN = 'simulated'

/**
 * calls: the open API's, as "getDailyVisitTrend 20261123-20261123". queries: the number of database queries. rows: the
 * content of the collection. respond: (api, begin_date, end_date) to WeChat's response, or to a number, the error code
 * of a refusal by the cloud. broken: if set, the response to everything.
 */
const cloud = { calls: [], queries: 0, rows: new Map(), respond: null, broken: null, collections: new Set() }

function openApi(body) {
  const [, api] = body.match(/analysis\.(\w+)/)
  const [begin_date, end_date] = body.match(/"\d{8}"/g).map((day) => day.slice(1, -1))
  cloud.calls.push(`${api} ${begin_date}-${end_date}`)
  const response = cloud.respond(api, begin_date, end_date)
  const writer = new Writer()
  if (typeof response === 'number') return writer.uint32(24).int32(response).finish()
  return writer.uint32(10).bytes(Buffer.from(JSON.stringify(response))).uint32(18).string('application/json').finish()
}

function database({ action, collectionName, query, data, projection, limit }) {
  const { _id } = JSON.parse(query)
  cloud.collections.add(collectionName)
  if (action === 'database.modifyDocument') {
    cloud.rows.set(_id, JSON.parse(data))
    return { data: { updated: 1, upsert_id: _id } }
  }
  cloud.queries += 1
  const ids = _id.$in || [_id]
  if (ids.length > limit) throw new Error(`${ids.length} ids, but at most ${limit} documents would be returned`)
  const complete = (id) => ({ _id: id, ...cloud.rows.get(id) })
  const wanted = projection && Object.keys(typeof projection === 'string' ? JSON.parse(projection) : projection)
  const reduced = (row) => Object.fromEntries(Object.entries(row).filter(([name]) => !wanted || wanted.includes(name)))
  const found = ids.filter((id) => cloud.rows.has(id)).map((id) => reduced(complete(id)))
  return { data: { list: found.map((row) => JSON.stringify(row)), limit, offset: 0 } }
}

const server = http.createServer((request, response) => {
  const chunks = []
  request.on('data', (chunk) => chunks.push(chunk))
  request.on('end', () => {
    const body = Buffer.concat(chunks).toString('latin1')
    if (cloud.broken) return response.end(JSON.stringify(cloud.broken))
    if (body.includes('wx.openApi')) {
      response.setHeader('content-type', 'application/octet-stream')
      return response.end(openApi(body))
    }
    response.setHeader('content-type', 'application/json; charset=utf-8')
    response.end(JSON.stringify({ requestId: 'r', ...database(JSON.parse(body)) }))
  })
})

const real = http.request
http.request = (url, options, callback) => {
  const target = new URL(typeof url === 'string' ? url : url.href || `http://${url.hostname}${url.path}`)
  if (!target.hostname.endsWith('tcb-api.tencentcloudapi.com')) throw new Error(`unexpected request to ${target.host}`)
  const given = typeof url === 'string' ? options : url
  const there = { ...given, host: '127.0.0.1', hostname: '127.0.0.1', port: server.address().port, agent: undefined }
  return real({ ...there, path: target.pathname + target.search }, typeof options === 'function' ? options : callback)
}

cloud.open = () => new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
cloud.close = () => {
  server.closeAllConnections()
  server.close()
}
cloud.reset = () => {
  cloud.calls.length = 0
  cloud.queries = 0
  cloud.rows.clear()
  cloud.collections.clear()
  cloud.respond = () => ({ list: [] })
  cloud.broken = null
}
cloud.reset()

module.exports = cloud
