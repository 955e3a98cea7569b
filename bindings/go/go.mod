module github.com/slotwise/slotwise/bindings/go

go 1.24
