// Command pause is the process that holds a pod's namespaces open. It does nothing, and ends on SIGINT or SIGTERM.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// Pod processes that lose their parent become children of this one when the pod shares its process namespace: the
	// kernel reaps them at once while SIGCHLD is ignored.
	signal.Ignore(syscall.SIGCHLD)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	<-end
}
