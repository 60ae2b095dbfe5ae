module weir-examples

go 1.19

require weirpolicy v0.0.0

require google.golang.org/protobuf v1.28.1

replace weirpolicy => ../../contrib/sdk/go
