// A page with nothing but README's component for React.
import { ApolloProvider } from '@apollo/client/react';
import { createRoot } from 'react-dom/client';
import { Upload, client } from './readme.jsx';

createRoot(document.querySelector('main')).render(<ApolloProvider client={client}><Upload /></ApolloProvider>);
