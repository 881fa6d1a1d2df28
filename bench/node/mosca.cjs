// Mosca with Redis, as its wiki sets it up: node mosca.cjs PORT REDIS_SOCKET
const mosca = require('mosca')

const [port, path] = process.argv.slice(2)
const server = new mosca.Server({
  host: '127.0.0.1',
  port: Number(port),
  backend: { type: 'redis', redis: require('redis'), return_buffers: true, path },
  persistence: { factory: mosca.persistence.Redis, redisOptions: { path } },
})
server.on('error', (error) => {
  console.error(error)
  process.exit(1)
})
