// Calls a gRPC service by its xds: name and prints how many answers came from whom, as JSON.
// Usage: node caller.js TARGET CALLS         (bootstrap: GRPC_XDS_BOOTSTRAP_CONFIG)
'use strict';
const grpc = require('@grpc/grpc-js');
require('@grpc/grpc-js-xds').register();

const [target, calls] = [process.argv[2], Number(process.argv[3])];
const AT_ONCE = 8;
const asBytes = (message) => message;
const client = new grpc.Client(target, grpc.credentials.createInsecure());

function call() {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + 20000, waitForReady: true };
    const metadata = new grpc.Metadata({ waitForReady: true });
    client.makeUnaryRequest('/test.Echo/Name', asBytes, asBytes, Buffer.alloc(0), metadata, options,
      (error, answer) => (error ? reject(error) : resolve(answer.toString())));
  });
}

async function main() {
  const counts = {};
  let left = calls;
  const worker = async () => {
    while (left-- > 0) {
      const name = await call();
      counts[name] = (counts[name] || 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  console.log(JSON.stringify(counts));
}

main().then(() => process.exit(0), (error) => { console.error(error); process.exit(1); });
