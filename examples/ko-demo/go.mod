module example.com/ko-demo

go 1.22
