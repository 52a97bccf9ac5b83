// What people read.

const UNITS = ['B', 'kB', 'MB', 'GB'];
const NUMBER = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** A number of bytes, such as `1.3 MB`. */
export function inBytes(count) {
  const power = count < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log10(count) / 3));
  return `${NUMBER.format(count / 1000 ** power)} ${UNITS[power]}`;
}

/** A number of milliseconds, such as `0.84 s`. */
export function inSeconds(milliseconds) {
  return `${NUMBER.format(milliseconds / 1000)} s`;
}

/** A number of things, such as `1 picture` or `2 pictures`. */
export function counted(count, thing) {
  return `${count} ${thing}${count === 1 ? '' : 's'}`;
}

const STATUS = {
  PENDING: 'Waiting for its file',
  UPLOADED: 'Stored, waiting to be developed',
  PROCESSING: 'Developing…',
  EXPIRED: 'Nothing was uploaded in time',
  DELETED: 'Deleted',
};

/**
 * Where a picture is on its way.
 *
 * @returns {{text: string, tone: 'quiet' | 'busy' | 'good' | 'bad'}}
 */
export function state(picture) {
  const { image, status } = picture;
  if (picture.phase === 'stopped') return { text: picture.problem, tone: 'bad' };
  if (picture.phase === 'waiting') return { text: 'Waiting to be sent', tone: 'quiet' };
  if (picture.phase === 'sending' && status === 'PENDING') {
    return { text: `Sending · ${percent(picture)} %`, tone: 'busy' };
  }
  if (picture.phase === 'sent' && status === 'PENDING') return { text: 'Sent', tone: 'busy' };
  if (status === 'READY') return { text: `${image.width} × ${image.height}`, tone: 'good' };
  if (image.problem) return { text: image.problem.message, tone: 'bad' };
  return { text: STATUS[status], tone: status === 'PENDING' ? 'quiet' : 'busy' };
}

/** Whether its file, or some of it, is still to be sent. */
export function isOnTheWay({ phase, status }) {
  return phase === 'waiting' || (phase === 'sending' && status === 'PENDING');
}

/** How much of its file is gone, 0 to 100. */
export function percent({ sent, size }) {
  return size === 0 ? 100 : Math.min(100, Math.floor((100 * sent) / size));
}

/** How all that was given to this page stands, in one sentence; nothing, if nothing was. */
export function summary(pictures) {
  const count = (test) => pictures.filter(test).length;
  const all = pictures.length;
  const going = pictures.filter(({ phase }) => phase !== 'stopped');
  const onTheWay = count(isOnTheWay);
  const ready = count(({ status }) => status === 'READY');
  const settled = count(({ isSettled }) => isSettled);
  const bad = settled - ready;
  const failures = bad > 0 ? `, ${bad} failed` : '';
  if (all === 0) return '';
  if (onTheWay > 0) {
    const total = (name) => inBytes(going.reduce((sum, picture) => sum + picture[name], 0));
    return `Sending ${counted(going.length, 'picture')} · ${total('sent')} of ${total('size')}`;
  }
  if (settled < all) return `Developing · ${ready} of ${all} ready${failures}`;
  return `${bad === 0 ? '' : `${ready} of `}${counted(all, 'picture')} ready${failures}`;
}
