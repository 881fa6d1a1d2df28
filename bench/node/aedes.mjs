// Aedes with Redis, as its README sets it up: node aedes.mjs PORT REDIS_SOCKET
import { createServer } from 'node:net'
import { Aedes } from 'aedes'
import mqemitter from 'mqemitter-redis'
import persistence from 'aedes-persistence-redis'

const [port, path] = process.argv.slice(2)
const broker = await Aedes.createBroker({ mq: mqemitter({ path }), persistence: persistence({ path }) })
createServer(broker.handle).listen({ port: Number(port), host: '127.0.0.1', backlog: 1024 })
