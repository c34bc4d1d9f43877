// kinesis-local listens on every interface; loaded before it, this keeps it on this machine.
const { Server } = require("node:net");
const listen = Server.prototype.listen;
Server.prototype.listen = function (first, ...rest) {
  const options = typeof first === "object" && first !== null ? { ...first } : { port: first };
  return listen.call(this, { ...options, host: "127.0.0.1" }, ...rest.filter((one) => typeof one === "function"));
};
