// A mochi-mqtt broker on 127.0.0.1 whose sessions, subscriptions, retained and unacknowledged messages are kept by its
// Redis hook, as examples/persistence/redis of its repository sets it up.
package main

import (
	"log"
	"os"
	"os/signal"
	"syscall"

	rv8 "github.com/go-redis/redis/v8"
	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/hooks/storage/redis"
	"github.com/mochi-mqtt/server/v2/listeners"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: mochi PORT REDIS_SOCKET")
	}
	server := mqtt.New(nil)
	add := func(hook mqtt.Hook, config any) {
		if err := server.AddHook(hook, config); err != nil {
			log.Fatal(err)
		}
	}
	add(new(auth.AllowHook), nil)
	add(new(redis.Hook), &redis.Options{Options: &rv8.Options{Network: "unix", Addr: os.Args[2]}})
	if err := server.AddListener(listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:" + os.Args[1]})); err != nil {
		log.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		log.Fatal(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
	_ = server.Close()
}
