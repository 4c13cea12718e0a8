# Shows that the classic mistakes with a pool of psycopg are found, with the code
# that made them, and that its proper use is not complained about.
use strict;
use warnings FATAL => 'all';

use Clients;

show('leaks.py', ['/usr/bin/python3']);
