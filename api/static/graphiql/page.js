// GraphiQL on this API: HTTP for queries and mutations, graphql-transport-ws for subscriptions.
import { EXAMPLES } from './examples.js';
import { storage } from './storage.js';

const FORBIDDEN = 4403; // closes a websocket of somebody who is not known

const { React, ReactDOM, GraphiQL, GraphiQLPluginExplorer, graphqlWs } = window;

const url = new URL('../../graphql', import.meta.url);
const socketUrl = new URL(url);
socketUrl.protocol = url.protocol.replace('http', 'ws');

// What the headers editor says goes along with each request, and opens each websocket. A websocket is closed
// when nothing is followed over it any more, so that a key that was changed counts the next time.
let headers = {};
const fetcher = GraphiQL.createFetcher({
  url: url.href,
  wsClient: graphqlWs.createClient({
    url: socketUrl.href,
    connectionParams: () => headers,
    shouldRetry: ({ code }) => code !== FORBIDDEN,
  }),
});

// GraphiQL has headers for each tab: where nobody has replaced the example, the key of another tab counts.
const EXAMPLE = 'Bearer KEY';
let authorization = EXAMPLE;

function fetchWithHeaders(request, options) {
  // Headers have no case; the names of what opens a websocket do.
  const entries = Object.entries(options?.headers ?? {});
  headers = Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), value]));
  if (headers.authorization === EXAMPLE) headers.authorization = authorization;
  else authorization = headers.authorization ?? EXAMPLE;
  return fetcher(request, { ...options, headers });
}

async function asksForKey() {
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ query: '{ presets { name } }' }),
    });
    const { errors } = await answer.json();
    return errors?.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED') ?? false;
  } catch {
    return false; // GraphiQL says better what is wrong
  }
}

const exampleHeaders = (await asksForKey()) ? JSON.stringify({ Authorization: EXAMPLE }, null, 2) : undefined;

function App() {
  const explorer = GraphiQLPluginExplorer.useExplorerPlugin({ showAttribution: false });
  return React.createElement(GraphiQL, {
    fetcher: fetchWithHeaders,
    plugins: [explorer],
    defaultTabs: EXAMPLES.map((tab) => ({ ...tab, headers: exampleHeaders })),
    defaultHeaders: exampleHeaders,
    defaultEditorToolsVisibility: exampleHeaders ? 'headers' : 'variables',
    isHeadersEditorEnabled: true,
    shouldPersistHeaders: false, // a key is kept nowhere
    storage,
  });
}

// The package's React is 17.
ReactDOM.render(React.createElement(App), document.getElementById('graphiql'));
