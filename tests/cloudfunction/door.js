'use strict'

// The network door of the real wx-server-sdk: whatever it sends to WeChat's cloud ends at a server here, which answers as
// that does: an open API in protobuf, the database in JSON.

const http = require('node:http')
const { Writer } = require('protobufjs/minimal')

process.env.TCB_ENV = process.env.SCF_NAMESPACE = 'prod-1'
process.env.TENCENTCLOUD_RUNENV = 'SCF'
process.env.TENCENTCLOUD_REGION = 'ap-shanghai'
process.env.TENCENTCLOUD_SECRETID = process.env.TENCENTCLOUD_SECRETKEY = 'pretended'
process.env.TENCENTCLOUD_SESSIONTOKEN = 'pretended'
process.env.WX_CONTEXT_KEYS = 'WX_API_TOKEN'
process.env.WX_API_TOKEN = 'pretended'

/** What came in: calls of the open API by their weeks, and what the collection holds. */
const door = { asked: [], rows: new Map(), answer: () => ({ list: [] }), broken: null }

function openApi(body) {
  const [begin_date, end_date] = body.match(/"\d{8}"|""/g).map((day) => day.slice(1, -1))
  door.asked.push(`${begin_date}-${end_date}`)
  const said = door.answer(begin_date, end_date)
  const writer = new Writer()
  if (typeof said === 'number') return writer.uint32(24).int32(said).finish()
  return writer.uint32(10).bytes(Buffer.from(JSON.stringify(said))).uint32(18).string('application/json').finish()
}

function database({ action, query, data }) {
  const { _id } = JSON.parse(query)
  if (action === 'database.modifyDocument') {
    door.rows.set(_id, JSON.parse(data))
    return { data: { updated: 1, upsert_id: _id } }
  }
  const found = door.rows.get(_id)
  return { data: { list: found ? [JSON.stringify({ _id, ...found })] : [], limit: 100, offset: 0 } }
}

const server = http.createServer((request, response) => {
  const pieces = []
  request.on('data', (piece) => pieces.push(piece))
  request.on('end', () => {
    const body = Buffer.concat(pieces).toString('latin1')
    if (door.broken) return response.end(JSON.stringify(door.broken))
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

door.open = () => new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
door.close = () => {
  server.closeAllConnections()
  server.close()
}
door.reset = () => {
  door.asked.length = 0
  door.rows.clear()
  door.broken = null
}

module.exports = door
