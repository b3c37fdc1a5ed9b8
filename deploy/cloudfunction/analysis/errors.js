'use strict'

/** Cloud code "the function failed". An error without a code of WeChat's must not look like "WeChat is busy" (-1). */
const FUNCTION_FAILED = -504002

/** Return an error of the SDK as data. The stack is left out: it holds paths of the cloud environment. */
function errorData(error) {
  const errCode = Number(error && error.errCode) || FUNCTION_FAILED
  return { errCode, errMsg: String((error && (error.errMsg || error.message)) || error) }
}

module.exports = { FUNCTION_FAILED, errorData }
