// Files that people drop, paste or choose.
import { byId } from './dom.js';

/** Give each handful of files to `take`. */
export function takeFiles(take) {
  const input = byId('files');
  byId('choose').addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    take([...input.files]);
    input.value = ''; // the same can be chosen again
  });
  window.addEventListener('paste', ({ clipboardData }) => {
    if (clipboardData.files.length > 0) take([...clipboardData.files]);
  });
  takeDropped(take);
}

/** The whole window takes what is dropped; a browser would leave the page for it. */
function takeDropped(take) {
  const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes('Files');
  const mark = (isOver) => document.body.classList.toggle('is-over', isOver);
  window.addEventListener('dragover', (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
    mark(true);
  });
  window.addEventListener('dragleave', ({ relatedTarget }) => {
    if (relatedTarget === null) mark(false); // it has left the window
  });
  window.addEventListener('drop', async (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    mark(false);
    take(await filesOf(event.dataTransfer));
  });
}

/** The files, and those in folders. What is asked for after a pause is no longer there, so all is asked first. */
async function filesOf({ items, files }) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some(({ isDirectory }) => isDirectory)) return [...files];
  return (await Promise.all(entries.map(filesIn))).flat();
}

async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // 100 at a time
    if (some.length === 0) return found;
    found.push(...(await Promise.all(some.filter(({ name }) => !name.startsWith('.')).map(filesIn))).flat());
  }
}
