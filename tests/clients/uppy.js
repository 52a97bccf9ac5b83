// A page that gives README's Uppy a file, and shows what becomes of it.
import { uppy } from './readme.js';

const input = document.querySelector('main').appendChild(document.createElement('input'));
const shown = document.querySelector('main').appendChild(document.createElement('pre'));
input.type = 'file';
input.ariaLabel = 'Picture';
input.addEventListener('change', async () => {
  const [file] = input.files;
  uppy.addFile({ name: file.name, type: file.type, data: file });
  await uppy.upload();
});
uppy.on('state-update', (before, after) => {
  shown.textContent = JSON.stringify(Object.values(after.files).map(({ meta, error }) => ({ ...meta, error })));
});
