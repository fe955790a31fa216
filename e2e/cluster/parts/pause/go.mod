module scalableapp.dev/e2e/parts/pause

go 1.25.0
