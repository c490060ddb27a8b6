module pns-server/clients/go

go 1.19
