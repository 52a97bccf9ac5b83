// Waiting before something is tried again.

const SHORTEST = 500; // milliseconds
const LONGEST = 15_000;

/** Milliseconds to wait after so many failures in a row; by chance, so that not all clients come at once. */
export function backoff(failures) {
  return Math.min(LONGEST, SHORTEST * 2 ** (failures - 1)) * (0.5 + Math.random() / 2);
}

/** Resolves after so many milliseconds, or as soon as the browser is online again. */
export function pause(milliseconds) {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener('online', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener('online', done);
  });
}
