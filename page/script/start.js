/* start.js - the last of the parts: everything is there, begin. */

pulse.now();
shapePoller.now();
doctorPoller.now();
eventsPoller.now();
search(false);
