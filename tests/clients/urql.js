// urql, with its document cache and graphql-ws for subscriptions. Arguments: the URL of the API, a picture.
const { Client, cacheExchange, fetchExchange, subscriptionExchange } = require('@urql/core');
const { getOperationAST } = require('graphql');
const { createClient } = require('graphql-ws');
const { onPush, pipe, toPromise } = require('wonka');
const WebSocket = require('ws');
const { journey, operations, turnPages } = require('./journey');

async function main(url, picture) {
  const requests = [];
  const socket = createClient({
    url: url.replace(/^http/, 'ws'), webSocketImpl: WebSocket, retryAttempts: 0,
  });
  const client = new Client({
    url,
    exchanges: [
      cacheExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe(request, sink) }),
        }),
      }),
      fetchExchange,
    ],
    fetch: (address, options) => {
      requests.push(options.method ?? 'GET');
      return fetch(address, options);
    },
  });
  const given = ({ data, error }) => {
    if (error) throw error;
    return data;
  };
  const ask = async (name, variables) => {
    const { operation } = getOperationAST(operations[name]);
    return given(await client[operation](operations[name], variables).toPromise());
  };
  const follow = (name, variables, next) => pipe(
    client.subscription(operations[name], variables),
    onPush((result) => next(given(result))),
    toPromise,
  );
  const told = await journey({ ask, follow }, picture);
  const pages = await turnPages({ ask });
  const again = await turnPages({ ask });
  console.log(JSON.stringify({ ...told, pages, again, requests }));
}

main(...process.argv.slice(2));
