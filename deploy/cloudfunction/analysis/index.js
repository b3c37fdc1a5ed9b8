'use strict'

// One function with three roles. WeChat has no field that names the caller in all of them, so the role follows from the
// form of the event:
//
//   HTTP access service  {path, httpMethod, headers, queryStringParameters, requestContext, body, isBase64Encoded}
//   timer trigger        {Type: 'Timer', TriggerName, Time, Message, userInfo}
//   API or another call  what the caller sent, with userInfo added: {api, beginDate, endDate, userInfo}
//
// The HTTP form is checked first. The HTTP access service passes the text of a request in `body` and never merges it
// into the event, so a request from the internet cannot take another role. A caller of the API can imitate the other
// two forms, but an imitated HTTP event needs the key, and an imitated timer event only starts a run of the timer.
//
// wx-server-sdk runs on Node.js 12 and later, which lacks `?.` and `??`.

const cloud = require('wx-server-sdk')
const { FUNCTION_FAILED } = require('./errors')
const { readStored } = require('./http')
const { fetchReport } = require('./invoke')
const { storeReports } = require('./timer')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

async function handle(event, now, key) {
  const { httpMethod, Type } = event || {}
  if (httpMethod !== undefined) return readStored(event, now, key)
  // Every user of the Mini Program can call every function of its environment.
  if (/wx_client/.test(cloud.getWXContext().SOURCE)) {
    return { errCode: FUNCTION_FAILED, errMsg: 'calls from the Mini Program are not allowed' }
  }
  return Type === 'Timer' ? storeReports(now) : fetchReport(event, now)
}

exports.handle = handle
exports.main = (event) => handle(event, Date.now(), process.env.EXPORTER_KEY)
