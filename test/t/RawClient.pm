# A client that speaks the protocol message by message, so that it can stop
# wherever it likes: in the middle of a statement, of a COPY, of a result.
package RawClient;

use strict;
use warnings FATAL => 'all';

use IO::Select;
use IO::Socket::IP;
use IO::Socket::UNIX;
use PostgreSQL::Test::Utils;
use Socket qw(SOL_SOCKET SO_RCVBUF);

# What the server has ended says so when it is used.
$SIG{PIPE} = 'IGNORE';

# Arguments: addr (connect by TCP), from (the own address), user, db, app, set
# (leakwatch settings), receive (size of the socket's buffer for what comes in).
sub new
{
	my ($class, $node, %args) = @_;
	my %set = %{ $args{set} // {} };
	my $socket = $args{addr}
	  ? IO::Socket::IP->new(PeerHost => $args{addr}, PeerPort => $node->port,
		$args{from} ? (LocalHost => $args{from}) : ())
	  : IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port);
	my $self = bless { socket => $socket, in => '' }, $class;
	my %startup = (
		user => $args{user} // 'app',
		database => $args{db} // 'postgres',
		application_name => $args{app} // 'raw',
		options => join(' ', map { "-c leakwatch.$_=$set{$_}" } sort keys %set));

	die "could not connect: $@" unless $socket;
	setsockopt($socket, SOL_SOCKET, SO_RCVBUF, pack('i', $args{receive}))
	  if $args{receive};
	my $body = pack('N', 0x30000) . join('', map { "$_\0$startup{$_}\0" } sort keys %startup) . "\0";
	$self->put(pack('N', length($body) + 4) . $body);
	$self->wait_message('Z');
	return $self;
}

# Send these bytes.
sub put
{
	my ($self, $bytes) = @_;

	while (length $bytes)
	{
		my $sent = syswrite($self->{socket}, $bytes) // die "could not send: $!";
		substr($bytes, 0, $sent) = '';
	}
	return;
}

# Send messages: pairs of type and body.
sub messages
{
	my ($self, @pairs) = @_;
	my $bytes = '';

	while (my ($type, $body) = splice(@pairs, 0, 2))
	{
		$bytes .= $type . pack('N', length($body) + 4) . $body;
	}
	$self->put($bytes);
	return;
}

# What there is to send of an extended query: Parse, Bind, Execute with a limit
# on rows.
sub parse { return (P => "\0$_[1]\0" . pack('n', 0)); }
sub bind { return (B => "\0\0" . pack('nnn', 0, 0, 0)); }
sub execute { return (E => "\0" . pack('N', $_[1] // 0)); }

# A simple query whose end is waited for.
sub query
{
	my ($self, $sql) = @_;

	$self->messages(Q => "$sql\0");
	return $self->wait_message('Z');
}

# The value of a query that has one.
sub value
{
	my ($self, $sql) = @_;

	$self->messages(Q => "$sql\0");
	my $row = $self->wait_message('D');
	$self->wait_message('Z');
	return unpack('x2 N/a', $row);
}

# Take up to so many bytes if there are any within a second; how many.
sub take
{
	my ($self, $size) = @_;

	return 0 unless IO::Select->new($self->{socket})->can_read(1);
	return sysread($self->{socket}, my $taken, $size) // 0;
}

# Wait for a message of this type, and return its body.
sub wait_message
{
	my ($self, $wanted) = @_;
	my $select = IO::Select->new($self->{socket});

	while (1)
	{
		while (length($self->{in}) >= 5)
		{
			my ($type, $length) = unpack('aN', $self->{in});

			last if length($self->{in}) < $length + 1;
			my $body = substr($self->{in}, 5, $length - 4);
			substr($self->{in}, 0, $length + 1) = '';
			$self->{pid} = unpack('N', $body) if $type eq 'K';
			die "an error: $body" if $type eq 'E' && $wanted ne 'E';
			return $body if $type eq $wanted;
		}
		die "no message $wanted has come"
		  unless $select->can_read($PostgreSQL::Test::Utils::timeout_default);
		sysread($self->{socket}, $self->{in}, 65536, length $self->{in})
		  or die "the server has closed the connection";
	}
}

# Has the server ended the session?  Takes what has come until then.
sub is_ended
{
	my ($self) = @_;
	my $select = IO::Select->new($self->{socket});

	while ($select->can_read($PostgreSQL::Test::Utils::timeout_default))
	{
		my $taken = sysread($self->{socket}, my $ignored, 1 << 20);

		return 1 unless $taken;
	}
	return 0;
}

sub close
{
	my ($self) = @_;

	close $self->{socket};
	return;
}

1;
