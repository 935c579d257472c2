-- Which functions are there, and which version of which model answers?
SHOW FUNCTIONS;
