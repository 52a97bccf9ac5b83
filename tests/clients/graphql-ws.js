// graphql-ws alone: queries and mutations, too, go over its one socket.
// Arguments: the URL of the API, a picture.
const { createClient } = require('graphql-ws');
const { print } = require('graphql');
const WebSocket = require('ws');
const { journey, operations, turnPages } = require('./journey');

async function main(url, picture) {
  let sockets = 0;
  const client = createClient({
    url: url.replace(/^http/, 'ws'),
    webSocketImpl: WebSocket,
    lazy: false,
    retryAttempts: 0,
    on: { connected: () => { sockets += 1; } },
  });
  const events = (name, variables) => client.iterate({ query: print(operations[name]), variables });
  const follow = async (name, variables, next) => {
    for await (const { data } of events(name, variables)) next(data);
  };
  const ask = async (name, variables) => {
    let answer;
    await follow(name, variables, (data) => { answer = data; });
    return answer;
  };
  const told = await journey({ ask, follow }, picture);
  const pages = await turnPages({ ask });
  await client.dispose();
  console.log(JSON.stringify({ ...told, pages, sockets }));
}

main(...process.argv.slice(2));
